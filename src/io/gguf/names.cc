#include "io/gguf/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace qw {
namespace {

using Row = std::pair<std::string_view, std::string_view>;

// Outside the layers, without ".weight" or ".bias".
constexpr auto kTop = std::to_array<Row>({
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
});
// "blk.N." + left -> "model.layers.N." + right.
constexpr auto kLayer = std::to_array<Row>({
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"ffn_gate_inp", "mlp.gate"},
    {"ffn_gate_exps", "mlp.experts.gate_proj"},  // stacks of all experts: io/hf/stacked_experts.h
    {"ffn_up_exps", "mlp.experts.up_proj"},
    {"ffn_down_exps", "mlp.experts.down_proj"},
    {"ffn_gate_up_exps", "mlp.experts.gate_up_proj"},
    {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
    {"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
    {"ffn_down_shexp", "mlp.shared_expert.down_proj"},
});

// The same for the original Qwen, whose layers are "transformer.h.N.".
constexpr auto kQwenTop = std::to_array<Row>({
    {"token_embd", "transformer.wte"},
    {"output_norm", "transformer.ln_f"},
    {"output", "lm_head"},
});
constexpr auto kQwenLayer = std::to_array<Row>({
    {"attn_norm", "ln_1"},
    {"attn_qkv", "attn.c_attn"},
    {"attn_output", "attn.c_proj"},
    {"ffn_norm", "ln_2"},
    {"ffn_up", "mlp.w1"},
    {"ffn_gate", "mlp.w2"},
    {"ffn_down", "mlp.c_proj"},
});
constexpr std::string_view kLayers = "model.layers.", kQwenLayers = "transformer.h.";

template <size_t N>
std::optional<std::string_view> look_up(const std::array<Row, N>& rows, std::string_view name) {
  for (const Row& row : rows)
    if (row.first == name) return row.second;
  return std::nullopt;
}
template <size_t N>
std::optional<std::string_view> look_back(const std::array<Row, N>& rows, std::string_view name) {
  for (const Row& row : rows)
    if (row.second == name) return row.first;
  return std::nullopt;
}

bool is_layer_number(std::string_view s) {
  if (s.empty() || s.size() > 6 || (s.size() > 1 && s[0] == '0')) return false;
  return std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::optional<std::string> hf_tensor_name(std::string_view name, std::string_view model_type) {
  const bool qwen = model_type == "qwen";
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view kind = name.substr(dot + 1);
  if (kind != "weight" && kind != "bias") return std::nullopt;
  const std::string_view part = name.substr(0, dot);
  if (const auto top = qwen ? look_up(kQwenTop, part) : look_up(kTop, part))
    return fmt::format("{}.{}", *top, kind);
  if (!part.starts_with("blk.")) return std::nullopt;
  const std::string_view rest = part.substr(4);
  const size_t end = rest.find('.');
  if (end == std::string_view::npos || !is_layer_number(rest.substr(0, end))) return std::nullopt;
  const std::string_view tail = rest.substr(end + 1);
  const auto layer = qwen ? look_up(kQwenLayer, tail) : look_up(kLayer, tail);
  if (!layer) return std::nullopt;
  return fmt::format("{}{}.{}.{}", qwen ? kQwenLayers : kLayers, rest.substr(0, end), *layer, kind);
}

std::string_view gguf_architecture(std::string_view model_type) {
  constexpr auto kOther = std::to_array<Row>({{"qwen2_moe", "qwen2moe"}, {"qwen3_moe", "qwen3moe"}});
  return look_up(kOther, model_type).value_or(model_type);
}

std::optional<GgufPlace> gguf_place(std::string_view name) {
  constexpr std::string_view kExperts = ".mlp.experts.";
  const size_t at = name.find(kExperts);
  if (at == std::string_view::npos) {
    auto whole = gguf_tensor_name(name);
    if (!whole) return std::nullopt;
    return GgufPlace{*std::move(whole)};
  }
  const std::string_view rest = name.substr(at + kExperts.size());
  const size_t dot = rest.find('.');
  if (dot == std::string_view::npos || !is_layer_number(rest.substr(0, dot))) return std::nullopt;
  auto stack = gguf_tensor_name(fmt::format("{}{}{}", name.substr(0, at), kExperts, rest.substr(dot + 1)));
  if (!stack) return std::nullopt;
  return GgufPlace{*std::move(stack), std::stoi(std::string(rest.substr(0, dot)))};
}

std::optional<std::string> gguf_tensor_name(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view kind = name.substr(dot + 1);
  if (kind != "weight" && kind != "bias") return std::nullopt;
  const std::string_view part = name.substr(0, dot);
  if (const auto top = look_back(kTop, part)) return fmt::format("{}.{}", *top, kind);
  if (const auto top = look_back(kQwenTop, part)) return fmt::format("{}.{}", *top, kind);
  const bool qwen = part.starts_with(kQwenLayers);
  if (!qwen && !part.starts_with(kLayers)) return std::nullopt;
  const std::string_view rest = part.substr((qwen ? kQwenLayers : kLayers).size());
  const size_t end = rest.find('.');
  if (end == std::string_view::npos || !is_layer_number(rest.substr(0, end))) return std::nullopt;
  const std::string_view tail = rest.substr(end + 1);
  const auto layer = qwen ? look_back(kQwenLayer, tail) : look_back(kLayer, tail);
  if (!layer) return std::nullopt;
  return fmt::format("blk.{}.{}.{}", rest.substr(0, end), *layer, kind);
}

}  // namespace qw
