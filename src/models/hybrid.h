// Qwen3-Next and Qwen3.5 (also 3.6 and 3.8), dense and with experts: layers of Gated DeltaNet among layers of
// gated full attention. Reference: transformers' models/{qwen3_next,qwen3_5,qwen3_5_moe}/modeling_*.py;
// multi-token prediction as vLLM's qwen3_next_mtp and qwen3_5_mtp describe it. Test: tests/golden,
// tests/property
#pragma once

#include "models/model.h"

namespace qw {

// `config` is the text model's config, in either spelling; its model_type is "qwen3_next", "qwen3_5_text",
// "qwen3_5_moe_text", or one of the latter without "_text".
Result<std::unique_ptr<Model>> make_hybrid(const Json& config, std::vector<Error>& warnings);

}  // namespace qw
