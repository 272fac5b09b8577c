// Random weights to begin with, as the model says of each (Weight::init), which is as transformers makes
// them: matrices from N(0, initializer_range), norms that change nothing, biases 0. The numbers of a weight
// depend on the seed and its name alone. Test: tests/train/trainer_test.cc
#pragma once

#include <optional>

#include "core/backend.h"
#include "nn/visitor.h"

namespace qw::train {

class InitVisitor : public Visitor {
 public:
  InitVisitor(Backend& backend, uint64_t seed, double std_dev)
      : backend_(backend), seed_(seed), std_dev_(std_dev) {}
  // Errors: memory.exhausted.
  Status finish();

 protected:
  void on_weight(Weight& w, ShardAxis axis) override;

 private:
  Backend& backend_;
  uint64_t seed_;
  double std_dev_;
  std::optional<Error> error_;
};

}  // namespace qw::train
