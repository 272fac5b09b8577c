// Answers of the model that learns, for on-policy distillation: through the engine, with the weights as they
// stand. Test: tests/e2e/train_test.cc
#pragma once

#include "apps/train/setup.h"
#include "engine/options.h"

namespace qw::apps {

// Of the engine that answers `prompts` at once.
EngineOptions sampling_options(const train::TrainConfig& config, size_t prompts);

// `setup` outlives the function. An answer's random numbers depend on the seed, the step and its
// place in it alone.
train::Generate sampler_of(TrainSetup& setup, const train::TrainConfig& config);

}  // namespace qw::apps
