#include "quant/recipe.h"

#include <algorithm>
#include <charconv>
#include <numeric>

namespace qw::quant {
namespace {

using Q = QuantFormat;
using M = Mixture;

constexpr auto kRecipes = std::to_array<Recipe>({
    {"f32", Q::f32, M::pure, 0},         {"f16", Q::f16, M::pure, 1},
    {"bf16", Q::bf16, M::pure, 32},      {"q8_0", Q::q8_0, M::pure, 7},
    {"q4_0", Q::q4_0, M::legacy, 2},     {"q4_1", Q::q4_1, M::legacy, 3},
    {"q5_0", Q::q5_0, M::legacy, 8},     {"q5_1", Q::q5_1, M::legacy, 9},
    {"q2_k", Q::q2_k, M::q2_k, 10},      {"q2_k_s", Q::q2_k, M::q2_k_s, 21},
    {"q3_k_s", Q::q3_k, M::q3_k_s, 11},  {"q3_k_m", Q::q3_k, M::q3_k_m, 12},
    {"q3_k_l", Q::q3_k, M::q3_k_l, 13},  {"q4_k_s", Q::q4_k, M::q4_k_s, 14},
    {"q4_k_m", Q::q4_k, M::q4_k_m, 15},  {"q5_k_s", Q::q5_k, M::q5_k_s, 16},
    {"q5_k_m", Q::q5_k, M::q5_k_m, 17},  {"q6_k", Q::q6_k, M::legacy, 18},
    {"iq4_nl", Q::iq4_nl, M::iq4, 25},   {"iq4_xs", Q::iq4_xs, M::iq4, 30},
    {"tq1_0", Q::tq1_0, M::ternary, 36}, {"tq2_0", Q::tq2_0, M::ternary, 37},
    {"mxfp4", Q::mxfp4, M::mxfp4, 38},   {"mxfp4_moe", Q::q8_0, M::mxfp4_moe, 38},
});

bool has(std::string_view name, std::string_view part) {
  return name.find(part) != name.npos;
}

// N of "blk.N.…", else −1.
int layer_of(std::string_view name) {
  constexpr std::string_view kLayer = "blk.";
  if (!name.starts_with(kLayer)) return -1;
  int layer = -1;
  std::from_chars(name.data() + kLayer.size(), name.data() + name.size(), layer);
  return layer;
}

// The layers whose errors cost most: the first and last eighth, and every third between.
bool more_bits(int i, int n) {
  return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

// The next format for rows that are no whole blocks.
Q fallback(Q format) {
  switch (format) {
    case Q::q2_k:
    case Q::q3_k:
    case Q::iq4_xs:
      return Q::iq4_nl;
    case Q::tq1_0:
    case Q::tq2_0:
      return Q::q4_0;
    case Q::q4_k:
      return Q::q5_0;
    case Q::q5_k:
      return Q::q5_1;
    case Q::q6_k:
      return Q::q8_0;
    default:
      return Q::f16;
  }
}

}  // namespace

std::span<const Recipe> recipes() {
  return kRecipes;
}

const Recipe* find_recipe(std::string_view name) {
  const auto it =
      std::find_if(kRecipes.begin(), kRecipes.end(), [name](const Recipe& r) { return r.name == name; });
  return it == kRecipes.end() ? nullptr : &*it;
}

FormatChooser::FormatChooser(const Recipe& recipe, const ModelFacts& facts)
    : recipe_(recipe), experts_(facts.experts), importance_(facts.importance) {
  gqa_ = facts.kv_heads > 0 ? facts.heads / facts.kv_heads : 1;
  for (const std::string& name : facts.tensors) {
    layers_ = std::max(layers_, layer_of(name) + 1);
    has_output_ = has_output_ || name == "output.weight";
    if (has(name, "attn_v.weight")) value_rank_[layer_of(name)] = 0;
  }
  int rank = 0;
  for (auto& [layer, place] : value_rank_) place = rank++;
}

bool FormatChooser::keeps(std::string_view tensor, std::span<const int64_t> shape) {
  if (shape.size() < 2 || !tensor.ends_with(".weight")) return true;
  if (tensor.ends_with("_norm.weight")) return true;
  return has(tensor, "ffn_gate_inp") || has(tensor, "ssm_conv1d") || has(tensor, "rope_freqs");
}

QuantFormat FormatChooser::of_value(int layer) const {
  const auto it = value_rank_.find(layer);
  const int i = it == value_rank_.end() ? 0 : it->second, n = static_cast<int>(value_rank_.size());
  Q out = recipe_.base;
  switch (recipe_.mixture) {
    case M::q2_k:
      out = gqa_ >= 4 ? Q::q4_k : Q::q3_k;
      break;
    case M::q2_k_s:
      if (gqa_ >= 4) out = Q::q4_k;
      break;
    case M::q3_k_m:
      out = i < 2 ? Q::q5_k : Q::q4_k;
      break;
    case M::q3_k_l:
      out = Q::q5_k;
      break;
    case M::q4_k_m:
    case M::q5_k_m:
      if (more_bits(i, n)) out = Q::q6_k;
      break;
    case M::q4_k_s:
      if (i < 4) out = Q::q5_k;
      break;
    case M::iq4:
      if (gqa_ >= 4) out = Q::q5_k;
      break;
    default:
      break;
  }
  if (layers_ == 80 && (out == Q::q3_k || out == Q::q4_k)) out = Q::q5_k;  // the models of 70 billion
  if (experts_ == 8 && recipe_.mixture != M::pure) out = Q::q8_0;
  return out;
}

QuantFormat FormatChooser::of_down(int layer) const {
  const int eighth = layers_ / 8;
  switch (recipe_.mixture) {
    case M::q2_k:
      return Q::q3_k;
    case M::q2_k_s:
      return layer < eighth ? Q::q4_k : recipe_.base;
    case M::q3_k_m:
      return layer < layers_ / 16 ? Q::q5_k : Q::q4_k;
    case M::q3_k_l:
      return Q::q5_k;
    case M::q4_k_m:
    case M::q5_k_m:
      return more_bits(layer, layers_) ? Q::q6_k : recipe_.base;
    case M::q4_k_s:
      return layer < eighth ? Q::q5_k : recipe_.base;
    case M::iq4:
      return layer < eighth && !importance_ ? Q::q5_k : recipe_.base;
    case M::legacy:
      if (layer >= eighth || !importance_) return recipe_.base;
      return recipe_.base == Q::q4_0 ? Q::q4_1 : recipe_.base == Q::q5_0 ? Q::q5_1 : recipe_.base;
    default:
      return recipe_.base;
  }
}

QuantFormat FormatChooser::wanted(std::string_view t) const {
  const M m = recipe_.mixture;
  if (m == M::pure) return recipe_.base;
  if (m == M::mxfp4_moe) return has(t, "_exps.") ? Q::mxfp4 : Q::q8_0;
  const bool embedding = t == "token_embd.weight";
  if (t == "output.weight" || (embedding && !has_output_)) return m == M::mxfp4 ? Q::q8_0 : Q::q6_k;
  if (embedding) return m == M::ternary ? Q::q4_k : m == M::mxfp4 ? Q::q8_0 : recipe_.base;
  const int layer = layer_of(t);
  if (has(t, "attn_v.weight")) return of_value(layer);
  if (has(t, "attn_k.weight")) return experts_ == 8 ? Q::q8_0 : recipe_.base;
  if (has(t, "ffn_down")) return of_down(layer);
  if (has(t, "attn_output.weight")) {
    const bool small =
        m == M::q2_k || m == M::q3_k_s || m == M::q3_k_m || m == M::q4_k_s || m == M::q4_k_m || m == M::iq4;
    if (experts_ == 8) return small ? Q::q5_k : recipe_.base;
    return m == M::q2_k ? Q::q3_k : m == M::q3_k_m ? Q::q4_k : m == M::q3_k_l ? Q::q5_k : recipe_.base;
  }
  if (has(t, "attn_qkv.weight")) {
    if (m == M::q3_k_m || m == M::q3_k_l) return Q::q4_k;
    return m == M::q4_k_m ? Q::q5_k : m == M::q5_k_m ? Q::q6_k : recipe_.base;
  }
  return recipe_.base;
}

QuantFormat FormatChooser::choose(std::string_view tensor, int64_t columns) const {
  Q format = wanted(tensor);
  while (columns % traits(format).block != 0) format = fallback(format);
  return format;
}

}  // namespace qw::quant
