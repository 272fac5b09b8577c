// GGUF tensor names to Hugging Face names and back, also of stacked experts. Test:
// tests/io/gguf_config_test.cc
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace qw {

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; none for a name that has no counterpart.
// The original Qwen (model_type "qwen") names everything otherwise: "transformer.h.3.attn.c_attn.weight".
std::optional<std::string> hf_tensor_name(std::string_view gguf_name, std::string_view model_type = "");
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
