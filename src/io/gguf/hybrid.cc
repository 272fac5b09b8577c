#include "io/gguf/hybrid.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "io/gguf/keys.h"
#include "io/gguf/names.h"

namespace qw {
namespace {

using Bytes = std::vector<std::byte>;
using Row = std::pair<std::string_view, std::string_view>;

struct Architecture {
  std::string_view name, model_type, hf_class;
  bool experts;
};
constexpr std::array<Architecture, 3> kArchitectures{
    {{"qwen35", "qwen3_5_text", "Qwen3_5ForCausalLM", false},
     {"qwen35moe", "qwen3_5_moe_text", "Qwen3_5MoeForCausalLM", true},
     {"qwen3next", "qwen3_next", "Qwen3NextForCausalLM", true}}};

// Below "A.", read here or harmless.
constexpr auto kKnownKeys = std::to_array<std::string_view>({
    "vocab_size",
    "pooling_type",  // qw embed's own matter
    "embedding_length",
    "feed_forward_length",
    "block_count",
    "context_length",
    "nextn_predict_layers",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.recurrent_layers",
    "full_attention_interval",
    "rope.dimension_count",
    "rope.dimension_sections",
    "rope.freq_base",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "expert_count",
    "expert_used_count",
    "expert_feed_forward_length",
    "expert_shared_feed_forward_length",
    "ssm.conv_kernel",
    "ssm.state_size",
    "ssm.group_count",
    "ssm.time_step_rank",
    "ssm.inner_size",
});

class Builder {
 public:
  Builder(const GgufFile& file, const Architecture& arch) : file_(file), keys_(file), arch_(arch) {}

  Result<Json> run(const std::optional<GgufTokenizer>& tokenizer) {
    config_["architectures"] = Json::array({std::string(arch_.hf_class)});
    config_["model_type"] = std::string(arch_.model_type);
    config_["hidden_act"] = "silu";
    QW_TRY(add_sizes());
    QW_TRY(add_layers());
    QW_TRY(add_rope());
    QW_TRY(add_delta());
    if (arch_.experts) QW_TRY(add_experts());
    if (tokenizer) add_token_ids(*tokenizer);
    add_unknown_keys();
    return std::move(config_);
  }

 private:
  std::string key(std::string_view tail) const { return fmt::format("{}.{}", arch_.name, tail); }

  Result<int64_t> size(std::string_view tail, std::optional<int64_t> absent = std::nullopt) const {
    return keys_.size(key(tail), absent);
  }
  Status put(const char* to, std::string_view tail) {
    QW_TRY(config_[to], size(tail));
    return {};
  }
  const GgufTensor* find(std::string_view suffix) const {
    for (const auto& [name, t] : file_.tensors())
      if (name.starts_with("blk.") && name.ends_with(suffix)) return &t;
    return nullptr;
  }

  Status add_sizes() {
    const auto it = file_.tensors().find("token_embd.weight");
    if (it == file_.tensors().end() || it->second.shape.size() != 2)
      return fail("gguf.tensor_missing", {{"file", keys_.name()}, {"tensor", "token_embd.weight"}});
    config_["vocab_size"] = it->second.shape[0];
    QW_TRY(put("hidden_size", "embedding_length"));
    if (config_["hidden_size"] != it->second.shape[1])
      return keys_.bad_value(key("embedding_length"), {"expected", it->second.shape[1]},
                             {"found", config_["hidden_size"].get<int64_t>()});
    if (file_.find(key("feed_forward_length")) != nullptr)
      QW_TRY(put("intermediate_size", "feed_forward_length"));
    QW_TRY(put("max_position_embeddings", "context_length"));
    QW_TRY(put("num_attention_heads", "attention.head_count"));
    QW_TRY(put("num_key_value_heads", "attention.head_count_kv"));
    QW_TRY(put("head_dim", "attention.key_length"));
    QW_TRY(config_["rms_norm_eps"], keys_.epsilon(key("attention.layer_norm_rms_epsilon")));
    config_["tie_word_embeddings"] = !file_.tensors().contains("output.weight");
    config_["attention_bias"] = find(".attn_q.bias") != nullptr;
    return {};
  }

  Status add_layers() {
    QW_TRY(const int64_t blocks, size("block_count"));
    QW_TRY(keys_.check_blocks(key("block_count"), blocks));
    QW_TRY(const auto mtp, keys_.integer(key("nextn_predict_layers")));
    const int64_t drafting = mtp.value_or(0), layers = blocks - drafting;
    if (drafting < 0 || drafting > 1 || layers < 1)
      return keys_.bad_value(key("nextn_predict_layers"), {"expected", "0, 1"}, {"found", drafting});
    config_["num_hidden_layers"] = layers;
    config_["mtp_num_hidden_layers"] = drafting;
    const std::string recurrent = key("attention.recurrent_layers");
    if (const GgufValue* v = file_.find(recurrent); v != nullptr) {
      const auto flags = v->as_items();
      if (!flags || static_cast<int64_t>(flags->size()) != blocks)
        return keys_.bad_value(recurrent, {"expected", fmt::format("{} x bool", blocks)},
                               {"found", v->type_text()});
      Json types = Json::array();
      for (const GgufValue& f : *flags)
        if (static_cast<int64_t>(types.size()) < layers)
          types.push_back(f.as_bool().value_or(false) ? "linear_attention" : "full_attention");
      config_["layer_types"] = std::move(types);
    }
    QW_TRY(config_["full_attention_interval"], size("full_attention_interval", 4));
    return {};
  }

  Status add_rope() {
    QW_TRY(const double base, keys_.positive(key("rope.freq_base")));
    const auto head_dim = config_["head_dim"].get<int64_t>();
    QW_TRY(const int64_t rotated, size("rope.dimension_count", head_dim / 4));
    if (rotated > head_dim)
      return keys_.bad_value(key("rope.dimension_count"), {"expected", fmt::format("<= {}", head_dim)},
                             {"found", rotated});
    Json rope{{"rope_type", "default"},
              {"rope_theta", base},
              {"partial_rotary_factor", static_cast<double>(rotated) / static_cast<double>(head_dim)}};
    const std::string type_key = key("rope.scaling.type");
    QW_TRY(const auto type, keys_.text(type_key));
    if (type && *type == "yarn") {
      QW_TRY(const auto factor, keys_.number(key("rope.scaling.factor")));
      if (!factor) return keys_.missing(key("rope.scaling.factor"));
      if (!(*factor > 0) || !std::isfinite(*factor))
        return keys_.bad_value(key("rope.scaling.factor"), {"expected", "> 0"}, {"found", *factor});
      QW_TRY(rope["original_max_position_embeddings"], size("rope.scaling.original_context_length"));
      rope["rope_type"] = "yarn";
      rope["factor"] = *factor;
    } else if (type && *type != "none") {
      return keys_.bad_value(type_key, {"expected", "none, yarn"}, {"found", *type});
    }
    QW_TRY(const std::vector<int64_t> sections, keys_.integers(key("rope.dimension_sections")));
    if (sections.size() >= 3) {
      rope["mrope_section"] = {sections[0], sections[1], sections[2]};
      rope["mrope_interleaved"] = true;
    }
    config_["rope_parameters"] = std::move(rope);
    return {};
  }

  Status add_delta() {
    QW_TRY(put("linear_conv_kernel_dim", "ssm.conv_kernel"));
    QW_TRY(put("linear_key_head_dim", "ssm.state_size"));
    QW_TRY(put("linear_num_key_heads", "ssm.group_count"));
    QW_TRY(put("linear_num_value_heads", "ssm.time_step_rank"));
    QW_TRY(const int64_t inner, size("ssm.inner_size"));
    const auto heads = config_["linear_num_value_heads"].get<int64_t>();
    const auto k_heads = config_["linear_num_key_heads"].get<int64_t>();
    if (inner % heads != 0 || heads % k_heads != 0)
      return keys_.bad_value(key("ssm.inner_size"), {"expected", fmt::format("n x {}", heads)},
                             {"found", inner});
    config_["linear_value_head_dim"] = inner / heads;
    if (arch_.name == "qwen3next") config_["linear_split_qkvz"] = true;
    return {};
  }

  Status add_experts() {
    QW_TRY(put("num_experts", "expert_count"));
    QW_TRY(put("num_experts_per_tok", "expert_used_count"));
    QW_TRY(put("moe_intermediate_size", "expert_feed_forward_length"));
    QW_TRY(put("shared_expert_intermediate_size", "expert_shared_feed_forward_length"));
    if (arch_.name == "qwen3next") {
      // Which layers are dense is written nowhere else.
      Json dense = Json::array();
      for (int64_t il = 0; il < config_["num_hidden_layers"].get<int64_t>(); ++il)
        if (file_.tensors().contains(fmt::format("blk.{}.ffn_gate.weight", il))) dense.push_back(il);
      config_["mlp_only_layers"] = std::move(dense);
    }
    return {};
  }

  void add_token_ids(const GgufTokenizer& t) {
    if (t.bos) config_["bos_token_id"] = *t.bos;
    if (t.eos) config_["eos_token_id"] = *t.eos;
    if (t.padding) config_["pad_token_id"] = *t.padding;
  }
  void add_unknown_keys() {
    const std::string prefix = key("");
    for (const auto& [name, value] : file_.metadata()) {
      if (!name.starts_with(prefix)) continue;
      const std::string_view tail = std::string_view(name).substr(prefix.size());
      if (std::find(kKnownKeys.begin(), kKnownKeys.end(), tail) == kKnownKeys.end())
        config_[std::string(name)] = value.type_text();
    }
  }

  const GgufFile& file_;
  const GgufKeys keys_;
  const Architecture& arch_;
  Json config_ = Json::object();
};

// "blk.N." + left -> "model.layers.N." + right, whole names.
constexpr auto kNames = std::to_array<Row>({
    {"post_attention_norm.weight", "post_attention_layernorm.weight"},
    {"attn_qkv.weight", "linear_attn.in_proj_qkv.weight"},
    {"attn_gate.weight", "linear_attn.in_proj_z.weight"},
    {"ssm_alpha.weight", "linear_attn.in_proj_a.weight"},
    {"ssm_beta.weight", "linear_attn.in_proj_b.weight"},
    {"ssm_ba.weight", "linear_attn.in_proj_ba.weight"},
    {"ssm_conv1d.weight", "linear_attn.conv1d.weight"},
    {"ssm_a", "linear_attn.A_log"},
    {"ssm_dt.bias", "linear_attn.dt_bias"},
    {"ssm_norm.weight", "linear_attn.norm.weight"},
    {"ssm_out.weight", "linear_attn.out_proj.weight"},
});
// Of the drafting layer's block, outside its layer.
constexpr auto kMtpNames = std::to_array<Row>({
    {"nextn.eh_proj.weight", "mtp.fc.weight"},
    {"nextn.enorm.weight", "mtp.pre_fc_norm_embedding.weight"},
    {"nextn.hnorm.weight", "mtp.pre_fc_norm_hidden.weight"},
    {"nextn.shared_head_norm.weight", "mtp.norm.weight"},
});

// How many value heads there are for each key head, and whether the file has the first of each, then the
// second …
struct Heads {
  int64_t k_heads, group;
  bool tiled;
};
Heads heads_of(const Json& config) {
  const auto k_heads = config["linear_num_key_heads"].get<int64_t>();
  const int64_t group = config["linear_num_value_heads"].get<int64_t>() / k_heads;
  return {k_heads, group, group > 1 && !config.value("linear_split_qkvz", false)};
}

// Runs of `unit` bytes, one a value head: tiled [group, k_heads] → by key head [k_heads, group].
void untile(std::byte* to, const std::byte* from, const Heads& h, int64_t unit) {
  for (int64_t k = 0; k < h.k_heads; ++k)
    for (int64_t j = 0; j < h.group; ++j)
      std::memcpy(to + (k * h.group + j) * unit, from + (j * h.k_heads + k) * unit,
                  static_cast<size_t>(unit));
}

// The last k_heads · group · head_rows rows.
Bytes with_rows_untiled(const StoredTensor& t, const Heads& h, int64_t head_rows) {
  Bytes out(t.bytes.begin(), t.bytes.end());
  const int64_t row = static_cast<int64_t>(t.bytes.size()) / t.shape[0];
  const int64_t unit = head_rows * row, size = h.k_heads * h.group * unit;
  const auto first = static_cast<ptrdiff_t>(t.bytes.size()) - size;
  untile(out.data() + first, t.bytes.data() + first, h, unit);
  return out;
}

Bytes with_columns_untiled(const StoredTensor& t, const Heads& h, int64_t head_columns) {
  Bytes out(t.bytes.size());
  const int64_t row = static_cast<int64_t>(t.bytes.size()) / t.shape[0];
  for (int64_t r = 0; r < t.shape[0]; ++r)
    untile(out.data() + r * row, t.bytes.data() + r * row, h, row_bytes(t.format, head_columns));
  return out;
}

// Where each column of a tiled tensor belongs: blocks that span two heads stay where they are.
std::vector<int32_t> places_of_tiled(const Heads& h, int64_t head_columns) {
  std::vector<int32_t> out;
  for (int64_t j = 0; j < h.group; ++j)
    for (int64_t k = 0; k < h.k_heads; ++k)
      for (int64_t i = 0; i < head_columns; ++i)
        out.push_back(static_cast<int32_t>((k * h.group + j) * head_columns + i));
  return out;
}

template <class Fn>
void for_floats(Bytes& bytes, Fn fn) {
  for (size_t i = 0; i + sizeof(float) <= bytes.size(); i += sizeof(float)) {
    float x;
    std::memcpy(&x, bytes.data() + i, sizeof x);
    x = fn(x);
    std::memcpy(bytes.data() + i, &x, sizeof x);
  }
}

// How a tensor of this name is put back; empty: as it lies.
StoredTensor::Restore restore_of(const Json& config, std::string_view name) {
  const Heads h = heads_of(config);
  const auto v_dim = config["linear_value_head_dim"].get<int64_t>();
  const auto ends = [&](std::string_view tail) { return name.ends_with(tail); };
  const auto rows = [&](int64_t head_rows) -> StoredTensor::Restore {
    if (!h.tiled) return {};
    return [h, head_rows](const StoredTensor& t) { return with_rows_untiled(t, h, head_rows); };
  };
  if (ends(".linear_attn.in_proj_qkv.weight") || ends(".in_proj_z.weight") || ends(".conv1d.weight"))
    return rows(v_dim);
  if (ends(".in_proj_a.weight") || ends(".in_proj_b.weight") || ends(".dt_bias")) return rows(1);
  if (ends(".A_log"))
    return [h](const StoredTensor& t) {
      Bytes out = h.tiled ? with_rows_untiled(t, h, 1) : Bytes(t.bytes.begin(), t.bytes.end());
      for_floats(out, [](float x) { return std::log(-x); });
      return out;
    };
  if (ends(".out_proj.weight") && h.tiled)
    return [h, v_dim](const StoredTensor& t) { return with_columns_untiled(t, h, v_dim); };
  const bool norm = ends("norm.weight") || name.find("pre_fc_norm") != name.npos;
  if (norm && !ends(".linear_attn.norm.weight"))
    return [](const StoredTensor& t) {
      Bytes out(t.bytes.begin(), t.bytes.end());
      for_floats(out, [](float x) { return x - 1.0F; });
      return out;
    };
  return {};
}

std::optional<std::string> name_of(const Json& config, std::string_view gguf_name) {
  const std::string mtp_block = fmt::format("blk.{}.", config["num_hidden_layers"].get<int64_t>());
  const bool drafting =
      config["mtp_num_hidden_layers"].get<int64_t>() > 0 && gguf_name.starts_with(mtp_block);
  const size_t end = gguf_name.starts_with("blk.") ? gguf_name.find('.', 4) : gguf_name.npos;
  if (end == gguf_name.npos) return hf_tensor_name(gguf_name);
  const std::string_view tail = gguf_name.substr(end + 1);
  if (drafting)
    for (const auto& [from, to] : kMtpNames)
      if (tail == from) return std::string(to);
  std::optional<std::string> name;
  for (const auto& [from, to] : kNames)
    if (tail == from) name = fmt::format("model.layers.{}.{}", gguf_name.substr(4, end - 4), to);
  if (!name) name = hf_tensor_name(gguf_name);
  if (name && drafting) {
    const size_t layer = std::string_view("model.layers.").size();
    name = "mtp.layers.0" + name->substr(name->find('.', layer));
  }
  return name;
}

}  // namespace

bool is_gguf_hybrid(std::string_view architecture) {
  return std::any_of(kArchitectures.begin(), kArchitectures.end(),
                     [&](const Architecture& a) { return a.name == architecture; });
}

Result<Json> gguf_hybrid_config(const GgufFile& file, const std::optional<GgufTokenizer>& tokenizer) {
  const GgufKeys keys(file);
  QW_TRY(const auto name, keys.text("general.architecture"));
  for (const Architecture& a : kArchitectures)
    if (name && a.name == *name) return Builder(file, a).run(tokenizer);
  return fail("gguf.architecture", {{"file", keys.name()}, {"found", name.value_or("")}});
}

Status check_hub_layout(const Json& config) {
  const char* key = "linear_split_qkvz";
  const auto it = config.find(key);
  return it != config.end() && *it == true ? fail("gguf.own_layout", {{"key", key}}) : Status();
}

std::optional<std::string> gguf_hybrid_tensor(const Json& config, std::string_view gguf_name,
                                              StoredTensor& t) {
  const std::optional<std::string> name = name_of(config, gguf_name);
  if (!name) return std::nullopt;
  if (name->ends_with(".conv1d.weight") && t.shape.size() == 2) t.shape = {t.shape[0], 1, t.shape[1]};
  // What is put back number by number is F32 in these files; another vector keeps its name and is reported.
  if (t.shape.size() == 1 && t.format != QuantFormat::f32) return std::string(gguf_name);
  const auto v_dim = config["linear_value_head_dim"].get<int64_t>();
  const Heads h = heads_of(config);
  const bool matrix = t.shape.size() == 2 && t.shape[1] == h.k_heads * h.group * v_dim;
  if (name->ends_with(".linear_attn.out_proj.weight") && h.tiled && matrix &&
      v_dim % traits(t.format).block != 0)
    t.input_order = places_of_tiled(h, v_dim);
  else
    t.restore = restore_of(config, *name);
  return name;
}

}  // namespace qw
