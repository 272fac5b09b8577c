// GGUF tensor names to Hugging Face names and back, for llama, qwen2 and qwen3, also with experts. Test:
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

// general.architecture of a model_type: "qwen3_moe" -> "qwen3moe"; most are the same.
std::string_view gguf_architecture(std::string_view model_type);

// Where a weight lies in a GGUF file: the experts of a layer are stacked,
// "model.layers.3.mlp.experts.5.up_proj.weight" is number 5 of "blk.3.ffn_up_exps.weight".
struct GgufPlace {
  std::string tensor;
  int expert = -1;  // −1: the whole tensor
};
std::optional<GgufPlace> gguf_place(std::string_view hf_name);

}  // namespace qw
