// GGUF tensor names to Hugging Face names and back, for llama, qwen2 and qwen3. Test:
// tests/io/gguf_config_test.cc
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace qw {

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; none for a name that has no counterpart.
std::optional<std::string> hf_tensor_name(std::string_view gguf_name);
// The other way.
std::optional<std::string> gguf_tensor_name(std::string_view hf_name);

}  // namespace qw
