#include "io/gguf/hybrid_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "io/gguf/names.h"
#include "nn/config_reader.h"

namespace qw {
namespace {

using nn::ConfigReader;
using Row = std::pair<std::string_view, std::string_view>;
using Change = std::function<std::vector<float>(std::vector<float>)>;

// Below a layer.
constexpr auto kNames = std::to_array<Row>({
    {"post_attention_layernorm.weight", "post_attention_norm.weight"},
    {"linear_attn.in_proj_qkv.weight", "attn_qkv.weight"},
    {"linear_attn.in_proj_z.weight", "attn_gate.weight"},
    {"linear_attn.in_proj_a.weight", "ssm_alpha.weight"},
    {"linear_attn.in_proj_b.weight", "ssm_beta.weight"},
    {"linear_attn.in_proj_ba.weight", "ssm_ba.weight"},
    {"linear_attn.conv1d.weight", "ssm_conv1d.weight"},
    {"linear_attn.A_log", "ssm_a"},
    {"linear_attn.dt_bias", "ssm_dt.bias"},
    {"linear_attn.norm.weight", "ssm_norm.weight"},
    {"linear_attn.out_proj.weight", "ssm_out.weight"},
});
constexpr auto kMtpNames = std::to_array<Row>({
    {"mtp.fc.weight", "nextn.eh_proj.weight"},
    {"mtp.pre_fc_norm_embedding.weight", "nextn.enorm.weight"},
    {"mtp.pre_fc_norm_hidden.weight", "nextn.hnorm.weight"},
    {"mtp.norm.weight", "nextn.shared_head_norm.weight"},
});

struct Sizes {
  int64_t layers, k_heads, v_heads, k_dim, v_dim;
  int64_t group() const { return v_heads / k_heads; }
};
Sizes sizes_of(const Json& c) {
  const auto n = [&](const char* key, int64_t absent) { return c.value(key, absent); };
  return {n("num_hidden_layers", 1), n("linear_num_key_heads", 16), n("linear_num_value_heads", 32),
          n("linear_key_head_dim", 128), n("linear_value_head_dim", 128)};
}

// Value heads by key head [k_heads, group] → tiled [group, k_heads], each of `unit` indices, after `first`
// that stay: where the index that stands at i comes from.
std::vector<int64_t> tiled(const Sizes& s, int64_t first, int64_t unit) {
  std::vector<int64_t> from(static_cast<size_t>(first));
  std::iota(from.begin(), from.end(), 0);
  for (int64_t j = 0; j < s.group(); ++j)
    for (int64_t k = 0; k < s.k_heads; ++k)
      for (int64_t i = 0; i < unit; ++i) from.push_back(first + (k * s.group() + j) * unit + i);
  return from;
}

std::vector<float> rows_from(const std::vector<float>& all, int64_t n_rows,
                             const std::vector<int64_t>& from) {
  const auto width = static_cast<int64_t>(all.size()) / n_rows;
  std::vector<float> out;
  out.reserve(from.size() * static_cast<size_t>(width));
  for (const int64_t row : from)
    out.insert(out.end(), all.begin() + row * width, all.begin() + (row + 1) * width);
  return out;
}
Change take_rows(int64_t n_rows, std::vector<int64_t> from) {
  return [n_rows, from = std::move(from)](const std::vector<float>& all) {
    return rows_from(all, n_rows, from);
  };
}
Change take_columns(std::vector<int64_t> from) {
  return [from = std::move(from)](const std::vector<float>& all) {
    std::vector<float> out(all.size());
    for (size_t row = 0; row < all.size(); row += from.size())
      for (size_t i = 0; i < from.size(); ++i) out[row + i] = all[row + static_cast<size_t>(from[i])];
    return out;
  };
}
Change each(Change before, float (*fn)(float)) {
  return [before = std::move(before), fn](std::vector<float> all) {
    if (before) all = before(std::move(all));
    for (float& x : all) x = fn(x);
    return all;
  };
}

// "blk.3." and what is below it; none outside the layers.
std::optional<std::pair<std::string, std::string_view>> in_block(const Sizes& s, std::string_view name) {
  const auto below = [&](std::string_view prefix,
                         int64_t first) -> std::optional<std::pair<std::string, std::string_view>> {
    if (!name.starts_with(prefix)) return std::nullopt;
    const std::string_view rest = name.substr(prefix.size());
    const size_t dot = rest.find('.');
    if (dot == rest.npos) return std::nullopt;
    const int64_t layer = first + std::stoll(std::string(rest.substr(0, dot)));
    return std::pair(fmt::format("blk.{}.", layer), rest.substr(dot + 1));
  };
  if (auto own = below("model.layers.", 0)) return own;
  return below("mtp.layers.", s.layers);
}

// The fused projection of Qwen3-Next, by key head q, k, v, z, in two tensors: q | k | v of all heads, and z.
std::vector<GgufHybridTensor> parted(const Sizes& s, const std::string& block, const Shape& shape) {
  const int64_t values = s.group() * s.v_dim, width = 2 * s.k_dim + 2 * values;
  const auto rows = [&](std::initializer_list<std::pair<int64_t, int64_t>> parts) {
    std::vector<int64_t> from;
    for (const auto& [begin, n] : parts)
      for (int64_t h = 0; h < s.k_heads; ++h)
        for (int64_t i = 0; i < n; ++i) from.push_back(h * width + begin + i);
    return from;
  };
  const std::vector<int64_t> qkv = rows({{0, s.k_dim}, {s.k_dim, s.k_dim}, {2 * s.k_dim, values}});
  const std::vector<int64_t> z = rows({{2 * s.k_dim + values, values}});
  const auto count = [](const std::vector<int64_t>& v) { return static_cast<int64_t>(v.size()); };
  return {{block + "attn_qkv.weight", {count(qkv), shape[1]}, false, take_rows(shape[0], qkv)},
          {block + "attn_gate.weight", {count(z), shape[1]}, false, take_rows(shape[0], z)}};
}

// How the value heads of a weight are put in llama.cpp's order; empty: they stand in it.
Change order_of(const Sizes& s, const Json& config, std::string_view tail, const Shape& shape) {
  if (s.group() == 1 || gguf_hybrid_architecture(config) == "qwen3next") return {};
  const int64_t keys = 2 * s.k_heads * s.k_dim;
  if (tail == "linear_attn.in_proj_qkv.weight" || tail == "linear_attn.conv1d.weight")
    return take_rows(shape[0], tiled(s, keys, s.v_dim));
  if (tail == "linear_attn.in_proj_z.weight") return take_rows(shape[0], tiled(s, 0, s.v_dim));
  if (tail == "linear_attn.out_proj.weight") return take_columns(tiled(s, 0, s.v_dim));
  if (tail == "linear_attn.in_proj_a.weight" || tail == "linear_attn.in_proj_b.weight" ||
      tail == "linear_attn.A_log" || tail == "linear_attn.dt_bias")
    return take_rows(shape[0], tiled(s, 0, 1));
  return {};
}

void add_delta(GgufMetadata& m, ConfigReader& c, const std::string& arch, const Sizes& s) {
  const auto u32 = [&](std::string_view key, int64_t value) {
    m.u32(fmt::format("{}.{}", arch, key), static_cast<uint32_t>(value));
  };
  u32("ssm.conv_kernel", c.integer("linear_conv_kernel_dim", 4));
  u32("ssm.state_size", s.k_dim);
  u32("ssm.group_count", s.k_heads);
  u32("ssm.time_step_rank", s.v_heads);
  u32("ssm.inner_size", s.v_dim * s.v_heads);
  const auto drafting = static_cast<int64_t>(c.number("mtp_num_hidden_layers", 0.0));
  const std::vector<std::string> types = c.strings("layer_types");
  if (!types.empty()) {
    std::vector<bool> recurrent;
    for (const std::string& t : types) recurrent.push_back(t == "linear_attention");
    recurrent.resize(recurrent.size() + static_cast<size_t>(drafting), false);
    m.flags(arch + ".attention.recurrent_layers", recurrent);
  }
  u32("full_attention_interval", c.integer("full_attention_interval", 4));
  if (drafting > 0) u32("nextn_predict_layers", drafting);
}

}  // namespace

std::string_view gguf_hybrid_architecture(const Json& config) {
  const std::string type = config.value("model_type", "");
  if (type == "qwen3_next") return "qwen3next";
  if (type.starts_with("qwen3_5_moe")) return "qwen35moe";
  return type.starts_with("qwen3_5") ? "qwen35" : "";
}

std::vector<GgufHybridTensor> gguf_hybrid_tensors(const Json& config, std::string_view name,
                                                  const Shape& shape) {
  const Sizes s = sizes_of(config);
  const auto dims = shape.dims();
  GgufHybridTensor t{{}, {dims.begin(), dims.end()}, shape.rank() == 1, {}};
  const bool norm = name.ends_with("norm.weight") || name.find("pre_fc_norm") != name.npos;
  for (const auto& [from, to] : kMtpNames)
    if (name == from) t.name = fmt::format("blk.{}.{}", s.layers, to);
  const auto block = in_block(s, name);
  if (block && block->second == "linear_attn.in_proj_qkvz.weight") return parted(s, block->first, shape);
  std::string_view tail;
  if (block) {
    tail = block->second;
    for (const auto& [from, to] : kNames)
      if (tail == from) t.name = block->first + std::string(to);
  }
  if (t.name.empty() && norm)
    t.name = gguf_tensor_name(gguf_hybrid_alias(config, std::string(name))).value_or("");
  if (t.name.empty()) return {};
  t.change = order_of(s, config, tail, shape);
  if (tail == "linear_attn.conv1d.weight") {
    t.shape = {shape[0], shape[2]};
    t.f32 = true;
  }
  if (tail == "linear_attn.A_log") t.change = each(std::move(t.change), [](float x) { return -std::exp(x); });
  if (norm && tail != "linear_attn.norm.weight")
    t.change = each(std::move(t.change), [](float x) { return x + 1.0F; });
  return {std::move(t)};
}

std::string gguf_hybrid_alias(const Json& config, const std::string& name) {
  constexpr std::string_view kMtp = "mtp.layers.0.";
  if (!name.starts_with(kMtp)) return name;
  return fmt::format("model.layers.{}.{}", sizes_of(config).layers, name.substr(kMtp.size()));
}

Status add_gguf_hybrid(GgufMetadata& m, const Json& config) {
  const std::string arch(gguf_hybrid_architecture(config));
  const Sizes s = sizes_of(config);
  ConfigReader c(config);
  const auto u32 = [&](std::string_view key, int64_t value) {
    m.u32(fmt::format("{}.{}", arch, key), static_cast<uint32_t>(value));
  };
  const auto drafting = static_cast<int64_t>(c.number("mtp_num_hidden_layers", 0.0));
  u32("block_count", s.layers + drafting);
  u32("context_length", c.integer("max_position_embeddings", 32768));
  u32("embedding_length", c.integer("hidden_size"));
  if (c.has("intermediate_size")) u32("feed_forward_length", c.integer("intermediate_size"));
  u32("attention.head_count", c.integer("num_attention_heads"));
  u32("attention.head_count_kv", c.integer("num_key_value_heads"));
  static const Json none = Json::object();
  const bool hub_spelling = !c.has("rope_parameters");
  const Json* params = c.object(hub_spelling ? "rope_scaling" : "rope_parameters");
  ConfigReader r(params != nullptr ? *params : none, "rope_parameters.");
  const std::string type = r.string("rope_type", r.string("type", "default"));
  if (type != "default" && type != "mrope" && type != "yarn")
    return fail("gguf.cannot_hold", {{"key", "rope_type"}, {"found", type}});
  if (arch != "qwen3next") {
    std::vector<int32_t> sections{11, 11, 10};  // the reference class's
    if (r.has("mrope_section")) {
      sections.clear();
      for (const double n : r.numbers("mrope_section")) sections.push_back(static_cast<int32_t>(n));
    }
    sections.resize(4, 0);
    m.ints(arch + ".rope.dimension_sections", sections);
  }
  if (type == "yarn") {
    m.text(arch + ".rope.scaling.type", type);
    m.f32(arch + ".rope.scaling.factor", r.number("factor"));
    u32("rope.scaling.original_context_length", r.integer("original_max_position_embeddings"));
  }
  m.f32(arch + ".rope.freq_base", (hub_spelling ? c : r).number("rope_theta", 10000.0));
  m.f32(arch + ".attention.layer_norm_rms_epsilon", c.number("rms_norm_eps", 1e-6));
  const bool experts = arch != "qwen35";
  if (experts) {
    u32("expert_count", c.integer("num_experts", c.optional_integer("num_local_experts")));
    u32("expert_used_count", c.integer("num_experts_per_tok"));
  }
  const int head_dim = c.integer("head_dim", 256);
  u32("attention.key_length", head_dim);
  u32("attention.value_length", head_dim);
  if (experts) {
    u32("expert_feed_forward_length", c.integer("moe_intermediate_size"));
    u32("expert_shared_feed_forward_length", c.integer("shared_expert_intermediate_size"));
  }
  add_delta(m, c, arch, s);
  const double partial = r.number("partial_rotary_factor", c.number("partial_rotary_factor", 0.25));
  u32("rope.dimension_count", static_cast<int64_t>(head_dim * partial));
  QW_TRY(c.status());
  return r.status();
}

}  // namespace qw
