// Checkpoints of a run: a folder each, out/checkpoints/step-00000123 with tensors.safetensors and state.json,
// which appears whole or not at all. Test: tests/train/trainer_test.cc
#pragma once

#include <filesystem>
#include <optional>

#include "core/backend.h"
#include "train/trainer.h"

namespace qw::train {

// Writes the trainer's state, and removes the oldest checkpoints but `keep` and what a killed run left
// unfinished. `config` is kept beside it. Errors: file.write.
Status save_checkpoint(const std::filesystem::path& folder, const Trainer& trainer, const Json& config,
                       Backend& backend, int keep);

// The newest checkpoint in `folder` (out/checkpoints); none where there is none.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& folder);

// Trainer::state() of the checkpoint of `step` in `folder`; none where it is not there.
std::optional<Json> checkpoint_state(const std::filesystem::path& folder, int64_t step);

// What save_checkpoint() was given as `config`; null where it cannot be read.
Json checkpoint_config(const std::filesystem::path& checkpoint);

// Removes the checkpoints of steps after `step`: what a resumed run does again counts alone.
void forget_checkpoints_after(const std::filesystem::path& folder, int64_t step);

// Errors: train.checkpoint_config (args file, key: what differs), train.checkpoint_tensor (file, tensor),
// train.checkpoint_state (file, key), train.data_changed, train.model_changed, train.other_changed (file);
// file.*, json.*, safetensors.*.
Status load_checkpoint(const std::filesystem::path& checkpoint, Trainer& trainer, const Json& config,
                       Backend& backend);

}  // namespace qw::train
