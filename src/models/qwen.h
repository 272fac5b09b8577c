// The original Qwen (1.8B, 7B, 14B, 72B and -Chat; model_type "qwen"): fused biased c_attn, no other bias,
// LogN attention and dynamic NTK beyond seq_length. Reference: modeling_qwen.py of Qwen/Qwen-7B and -72B
// (config in both of its spellings: num_hidden_layers and n_layer). Rules, and what was decided where that
// code leaves a choice: docs/models.md. Test: tests/golden (qwen1_*, qwen1_test.cc)
#pragma once

#include "models/model.h"

namespace qw {

Result<std::unique_ptr<Model>> make_qwen(const Json& config, std::vector<Error>& warnings);

}  // namespace qw
