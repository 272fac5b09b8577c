// Answers of the model that learns, for on-policy distillation: through the engine, with the weights as they
// stand. Test: tests/e2e/train_test.cc
#pragma once

#include "apps/train/setup.h"

namespace qw::apps {

// `setup` outlives the function. A step's answers depend on the seed and the step alone.
train::Generate sampler_of(TrainSetup& setup, const train::TrainConfig& config);

}  // namespace qw::apps
