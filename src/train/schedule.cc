#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace qw::train {

double learning_rate(const Schedule& s, int64_t step) {
  if (step <= s.warmup_steps) return s.lr * static_cast<double>(step) / static_cast<double>(s.warmup_steps);
  if (s.kind == "cosine") {
    const auto done = static_cast<double>(step - 1 - s.warmup_steps);
    const auto n = static_cast<double>(std::max<int64_t>(s.steps - s.warmup_steps, 1));
    const double progress = std::min(done / n, 1.0);
    return s.min_lr + (s.lr - s.min_lr) * 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  }
  if (s.kind == "wsd") {
    const int64_t decay = s.decay_steps > 0 ? s.decay_steps : std::max<int64_t>(s.steps / 5, 1);
    const int64_t left = std::max<int64_t>(s.steps - step, 0);
    if (left >= decay) return s.lr;
    return s.min_lr + (s.lr - s.min_lr) * static_cast<double>(left) / static_cast<double>(decay);
  }
  return s.lr;
}

}  // namespace qw::train
