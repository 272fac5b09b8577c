// Llama, Qwen2 (also 1.5 and 2.5) and Qwen3, dense and with experts: one decoder whose differences are fields
// set by the config. Reference: transformers' models/{llama,qwen2,qwen3,qwen2_moe,qwen3_moe}/modeling_*.py.
// Test: tests/golden
#pragma once

#include "models/model.h"

namespace qw {

// `config` is config.json in either spelling; its model_type is "llama", "qwen2", "qwen3",
// "qwen2_moe" or "qwen3_moe".
Result<std::unique_ptr<Model>> make_decoder(const Json& config, std::vector<Error>& warnings);

}  // namespace qw
