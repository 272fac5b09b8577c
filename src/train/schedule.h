// Learning rate by step. Test: tests/train/schedule_test.cc
#pragma once

#include <cstdint>
#include <string>

namespace qw::train {

struct Schedule {
  std::string kind = "cosine";  // cosine, constant, wsd (warmup, stable, decay)
  double lr = 1e-4, min_lr = 0.0;
  int64_t steps = 1;
  int64_t warmup_steps = 0;
  int64_t decay_steps = 0;  // wsd; 0: a fifth of all steps
};

// Of step 1 … steps. Warm-up rises linearly and reaches lr at its last step; after it, with s = step − 1 −
// warmup of n = steps − warmup: cosine min + (lr − min) · (1 + cos(π s / n)) / 2; wsd is lr, then falls
// linearly to min_lr at the last step.
double learning_rate(const Schedule& schedule, int64_t step);

}  // namespace qw::train
