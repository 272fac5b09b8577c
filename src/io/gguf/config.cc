#include "io/gguf/config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "io/gguf/hybrid.h"
#include "io/gguf/keys.h"
#include "io/gguf/qwen.h"

namespace qw {
namespace {

struct Architecture {
  std::string_view name;
  std::string_view model_type;
  std::string_view hf_class;
  bool attention_bias_key;  // the config class has attention_bias
  bool mlp_bias_key;
  bool sliding_keys;
  // norm_topk_prob where the file does not say, as llama.cpp computes it; unset: no experts.
  std::optional<bool> normalises_experts = {};
};
constexpr auto kArchitectures = std::to_array<Architecture>({
    {"llama", "llama", "LlamaForCausalLM", true, true, false},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", false, false, true},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", true, false, true},
    {"qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM", false, false, true, false},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", true, false, false, true},
});

// Keys below "A." that are read or harmless; any other is handed on as unknown.
constexpr auto kKnownKeys = std::to_array<std::string_view>({
    "vocab_size",
    "embedding_length",
    "feed_forward_length",
    "block_count",
    "context_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.causal",
    "pooling_type",  // what an embedding is made of: qw embed's own matter
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.attn_factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.yarn_truncate",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_ext_factor",
    "expert_count",
    "expert_used_count",
    "expert_feed_forward_length",
    "expert_shared_feed_forward_length",
    "expert_weights_norm",
    "tensor_data_layout",  // a name of the layout, "Meta AI original pth" in old llama files
});

class Builder {
 public:
  Builder(const GgufFile& file, const std::optional<GgufTokenizer>& tokenizer)
      : file_(file), keys_(file), tokenizer_(tokenizer) {}

  Result<Json> run() {
    QW_TRY(find_architecture());
    QW_TRY(add_sizes());
    QW_TRY(add_heads());
    QW_TRY(add_biases());
    QW_TRY(add_rope());
    QW_TRY(add_window());
    QW_TRY(add_experts());
    QW_TRY(refuse_what_would_change_the_numbers());
    add_token_ids();
    add_unknown_keys();
    return std::move(config_);
  }

 private:
  std::string key(std::string_view tail) const { return fmt::format("{}.{}", arch_->name, tail); }
  bool has_tensor(std::string_view name) const { return file_.tensors().contains(name); }

  Status find_architecture() {
    QW_TRY(const auto name, keys_.text("general.architecture"));
    if (!name) return keys_.missing("general.architecture");
    const auto it = std::find_if(kArchitectures.begin(), kArchitectures.end(),
                                 [&](const Architecture& a) { return a.name == *name; });
    if (it == kArchitectures.end())
      return fail("gguf.architecture", {{"file", keys_.name()}, {"found", *name}});
    arch_ = &*it;
    config_["architectures"] = Json::array({std::string(arch_->hf_class)});
    config_["model_type"] = std::string(arch_->model_type);
    return {};
  }

  // A positive number that fits int. Some converters write one number a layer: they must be equal.
  Result<std::optional<int64_t>> optional_size(std::string_view tail) const {
    const std::string k = key(tail);
    const GgufValue* v = file_.find(k);
    if (!v) return std::optional<int64_t>();
    std::optional<int64_t> n;
    if (v->type() == GgufType::array) {
      QW_TRY(const auto per_layer, keys_.integers(k));
      if (per_layer.empty()) return keys_.bad_value(k, {"expected", ">= 1"}, {"found", "[]"});
      const auto other =
          std::find_if(per_layer.begin(), per_layer.end(), [&](int64_t i) { return i != per_layer[0]; });
      if (other != per_layer.end()) return keys_.bad_value(k, {"expected", per_layer[0]}, {"found", *other});
      n = per_layer[0];
    } else {
      QW_TRY(n, keys_.integer(k));
    }
    if (*n < 1 || *n > std::numeric_limits<int32_t>::max())
      return keys_.bad_value(k, {"expected", ">= 1"}, {"found", *n});
    return n;
  }
  Result<int64_t> size(std::string_view tail) const {
    QW_TRY(const auto n, optional_size(tail));
    if (!n) return keys_.missing(key(tail));
    return *n;
  }
  Status must_equal(std::string_view tail, int64_t expected) const {
    QW_TRY(const auto n, optional_size(tail));
    if (n && *n != expected) return keys_.bad_value(key(tail), {"expected", expected}, {"found", *n});
    return {};
  }

  Status add_sizes() {
    const auto it = file_.tensors().find("token_embd.weight");
    if (it == file_.tensors().end() || it->second.shape.size() != 2)
      return fail("gguf.tensor_missing", {{"file", keys_.name()}, {"tensor", "token_embd.weight"}});
    const std::vector<int64_t>& shape = it->second.shape;
    QW_TRY(must_equal("vocab_size", shape[0]));
    QW_TRY(hidden_, size("embedding_length"));
    if (hidden_ != shape[1])
      return keys_.bad_value(key("embedding_length"), {"expected", shape[1]}, {"found", hidden_});
    if (tokenizer_ && static_cast<int64_t>(tokenizer_->tokens.size()) > shape[0])
      return keys_.bad_value("tokenizer.ggml.tokens", {"expected", shape[0]},
                             {"found", tokenizer_->tokens.size()});
    QW_TRY(const int64_t ffn, size("feed_forward_length"));
    QW_TRY(layers_, size("block_count"));
    QW_TRY(keys_.check_blocks(key("block_count"), layers_));
    QW_TRY(const int64_t context, size("context_length"));
    QW_TRY(const double eps, keys_.epsilon(key("attention.layer_norm_rms_epsilon")));
    config_["vocab_size"] = shape[0];
    config_["hidden_size"] = hidden_;
    config_["intermediate_size"] = ffn;
    config_["num_hidden_layers"] = layers_;
    config_["max_position_embeddings"] = context;
    config_["rms_norm_eps"] = eps;
    config_["hidden_act"] = "silu";
    config_["tie_word_embeddings"] = !has_tensor("output.weight");
    return {};
  }

  Status add_heads() {
    QW_TRY(const int64_t heads, size("attention.head_count"));
    QW_TRY(const auto kv_heads, optional_size("attention.head_count_kv"));
    QW_TRY(const auto key_length, optional_size("attention.key_length"));
    if (!key_length && hidden_ % heads != 0) return keys_.missing(key("attention.key_length"));
    head_dim_ = key_length ? *key_length : hidden_ / heads;
    if (head_dim_ % 2 != 0)
      return keys_.bad_value(key("attention.key_length"), {"expected", "2 n"}, {"found", head_dim_});
    QW_TRY(must_equal("attention.value_length", head_dim_));
    QW_TRY(
        must_equal("rope.dimension_count", head_dim_));  // partial rotation belongs to no architecture here
    // The q matrix holds the head size to the file's own size before anything is allocated by it.
    const auto q = file_.tensors().find("blk.0.attn_q.weight");
    if (q == file_.tensors().end())
      return fail("gguf.tensor_missing", {{"file", keys_.name()}, {"tensor", "blk.0.attn_q.weight"}});
    if (q->second.shape[0] != heads * head_dim_)
      return keys_.bad_value(key("attention.key_length"), {"expected", q->second.shape[0] / heads},
                             {"found", head_dim_});
    config_["num_attention_heads"] = heads;
    config_["num_key_value_heads"] = kv_heads.value_or(heads);
    config_["head_dim"] = head_dim_;
    return {};
  }

  Status add_biases() {
    if (arch_->attention_bias_key) config_["attention_bias"] = has_tensor("blk.0.attn_q.bias");
    if (arch_->mlp_bias_key) config_["mlp_bias"] = has_tensor("blk.0.ffn_up.bias");
    return {};
  }

  Status add_rope() {
    QW_TRY(const double base, keys_.positive(key("rope.freq_base")));
    Json rope = {{"rope_type", "default"}, {"rope_theta", base}};
    const std::string type_key = key("rope.scaling.type");
    QW_TRY(const auto given, keys_.text(type_key));
    QW_TRY(const auto old_linear, keys_.number(key("rope.scale_linear")));
    const bool linear_by_old_key = !given && old_linear && *old_linear != 1.0;
    const std::string_view type = given ? *given : linear_by_old_key ? "linear" : "none";
    if (has_tensor("rope_freqs.weight")) {
      if (type != "none") return keys_.bad_value(type_key, {"expected", "none"}, {"found", type});
      QW_TRY(add_explicit_factors(rope));
    } else if (type == "linear" || type == "yarn") {
      QW_TRY(add_factor(linear_by_old_key ? "rope.scale_linear" : "rope.scaling.factor", type, rope));
    } else if (type != "none") {
      return keys_.bad_value(type_key, {"expected", "none, linear, yarn"}, {"found", type});
    }
    config_["rope_parameters"] = std::move(rope);
    return {};
  }

  Status add_factor(std::string_view tail, std::string_view type, Json& rope) {
    rope["rope_type"] = std::string(type);
    QW_TRY(rope["factor"], keys_.positive(key(tail)));
    if (type != "yarn") return {};
    QW_TRY(const int64_t original, size("rope.scaling.original_context_length"));
    rope["original_max_position_embeddings"] = original;
    constexpr std::array<std::pair<std::string_view, const char*>, 3> kNumbers{
        {{"rope.scaling.yarn_beta_fast", "beta_fast"},
         {"rope.scaling.yarn_beta_slow", "beta_slow"},
         {"rope.scaling.yarn_attn_factor", "attention_factor"}}};
    for (const auto& [from, to] : kNumbers) {
      QW_TRY(const auto n, keys_.number(key(from)));
      if (n && !std::isfinite(*n)) return keys_.bad_value(key(from), {"expected", "> 0"}, {"found", *n});
      if (n) rope[to] = *n;
    }
    QW_TRY(const auto truncate, keys_.flag(key("rope.scaling.yarn_truncate")));
    if (truncate) rope["truncate"] = *truncate;
    return {};
  }

  Status add_explicit_factors(Json& rope) {
    const GgufTensor& t = file_.tensors().at("rope_freqs.weight");
    const int64_t n = head_dim_ / 2;
    if (t.type->format != QuantFormat::f32 || t.shape != std::vector<int64_t>{n})
      return fail("gguf.rope_freqs",
                  {{"file", keys_.name()},
                   {"expected", fmt::format("F32 [{}]", n)},
                   {"found", fmt::format("{} [{}]", t.type->name, fmt::join(t.shape, ", "))}});
    std::vector<float> factors(static_cast<size_t>(n));
    std::memcpy(factors.data(), t.bytes.data(), t.bytes.size());
    for (const float f : factors)
      if (!(f > 0) || !std::isfinite(f))
        return fail("gguf.rope_freqs", {{"file", keys_.name()}, {"expected", "> 0"}, {"found", f}});
    rope["rope_type"] = "explicit_factors";
    rope["factors"] = factors;
    return {};
  }

  Status add_window() {
    const std::string window_key = key("attention.sliding_window");
    QW_TRY(const auto window, keys_.integer(window_key));
    if (!window || *window == 0) {
      if (arch_->sliding_keys) config_["use_sliding_window"] = false;
      return {};
    }
    if (!arch_->sliding_keys || *window < 0 || *window > std::numeric_limits<int32_t>::max())
      return keys_.bad_value(window_key, {"expected", 0}, {"found", *window});
    const std::string pattern_key = key("attention.sliding_window_pattern");
    const GgufValue* pattern = file_.find(pattern_key);
    if (!pattern) return keys_.missing(pattern_key);
    const auto flags = pattern->as_items();
    if (!flags || static_cast<int64_t>(flags->size()) != layers_)
      return keys_.bad_value(pattern_key, {"expected", fmt::format("{} x bool", layers_)},
                             {"found", flags ? fmt::to_string(flags->size()) : pattern->type_text()});
    Json types = Json::array();
    for (const GgufValue& f : *flags) {
      if (!f.as_bool()) return keys_.bad_value(pattern_key, {"expected", "bool"}, {"found", f.type_text()});
      types.push_back(*f.as_bool() ? "sliding_attention" : "full_attention");
    }
    config_["use_sliding_window"] = true;
    config_["sliding_window"] = *window;
    config_["layer_types"] = std::move(types);
    return {};
  }

  // Rows of a tensor of layer `il`, 0 where it is absent.
  int64_t rows_of(int64_t il, std::string_view part) const {
    const auto it = file_.tensors().find(fmt::format("blk.{}.{}.weight", il, part));
    return it == file_.tensors().end() || it->second.shape.size() < 2 ? 0 : it->second.shape.end()[-2];
  }

  Status add_experts() {
    if (!arch_->normalises_experts) return {};
    QW_TRY(const int64_t experts, size("expert_count"));
    QW_TRY(const int64_t used, size("expert_used_count"));
    Json dense = Json::array();
    int64_t first = -1;  // layer with experts
    for (int64_t il = 0; il < layers_; ++il) {
      if (rows_of(il, "ffn_gate_inp") == 0)
        dense.push_back(il);
      else if (first < 0)
        first = il;
    }
    if (first < 0)
      return fail("gguf.tensor_missing", {{"file", keys_.name()}, {"tensor", "blk.0.ffn_gate_inp.weight"}});
    const int64_t pair = rows_of(first, "ffn_gate_up_exps");
    const int64_t ffn = pair > 0 ? pair / 2 : rows_of(first, "ffn_gate_exps");
    if (ffn == 0)
      return fail("gguf.tensor_missing", {{"file", keys_.name()}, {"tensor", "blk.*.ffn_gate_exps.weight"}});
    QW_TRY(must_equal("expert_feed_forward_length", ffn));
    QW_TRY(const auto normalises, keys_.flag(key("expert_weights_norm")));
    config_["num_experts"] = experts;
    config_["num_experts_per_tok"] = used;
    config_["moe_intermediate_size"] = ffn;
    config_["norm_topk_prob"] = normalises.value_or(*arch_->normalises_experts);
    config_["decoder_sparse_step"] = 1;
    config_["mlp_only_layers"] = std::move(dense);
    if (const int64_t shared = rows_of(first, "ffn_gate_shexp"); shared > 0) {
      QW_TRY(must_equal("expert_shared_feed_forward_length", shared));
      config_["shared_expert_intermediate_size"] = shared;
    }
    return {};
  }

  // Keys with one value that means "nothing special"; any other value would be computed wrongly in silence.
  Status refuse_what_would_change_the_numbers() {
    QW_TRY(const auto experts, keys_.integer(key("expert_count")));
    if (experts.value_or(0) != 0 && !arch_->normalises_experts)
      return keys_.bad_value(key("expert_count"), {"expected", 0}, {"found", *experts});
    QW_TRY(const auto causal, keys_.flag(key("attention.causal")));
    if (!causal.value_or(true))
      return keys_.bad_value(key("attention.causal"), {"expected", true}, {"found", false});
    for (const std::string_view tail : {"rope.scaling.attn_factor", "rope.scaling.yarn_ext_factor"}) {
      QW_TRY(const auto n, keys_.number(key(tail)));
      if (n.value_or(1.0) != 1.0) return keys_.bad_value(key(tail), {"expected", 1}, {"found", *n});
    }
    return {};
  }

  void add_token_ids() {
    if (!tokenizer_) return;
    if (tokenizer_->bos) config_["bos_token_id"] = *tokenizer_->bos;
    if (tokenizer_->eos) config_["eos_token_id"] = *tokenizer_->eos;
    if (tokenizer_->padding) config_["pad_token_id"] = *tokenizer_->padding;
  }

  void add_unknown_keys() {
    const std::string prefix = key("");
    for (const auto& [name, value] : file_.metadata()) {
      if (!name.starts_with(prefix)) continue;
      const std::string_view tail = name.substr(prefix.size());
      if (std::find(kKnownKeys.begin(), kKnownKeys.end(), tail) == kKnownKeys.end())
        config_[std::string(name)] = value.type_text();
    }
  }

  const GgufFile& file_;
  const GgufKeys keys_;
  const std::optional<GgufTokenizer>& tokenizer_;
  const Architecture* arch_ = nullptr;
  int64_t hidden_ = 0;
  int64_t layers_ = 0;
  int64_t head_dim_ = 0;
  Json config_ = Json::object();
};

}  // namespace

Result<Json> gguf_config(const GgufFile& file, const std::optional<GgufTokenizer>& tokenizer) {
  QW_TRY(const auto architecture, GgufKeys(file).text("general.architecture"));
  if (architecture && *architecture == "qwen") return gguf_qwen_config(file, tokenizer);
  if (architecture && is_gguf_hybrid(*architecture)) return gguf_hybrid_config(file, tokenizer);
  return Builder(file, tokenizer).run();
}

Result<GenerationDefaults> gguf_generation(const GgufFile& file,
                                           const std::optional<GgufTokenizer>& tokenizer) {
  const GgufKeys keys(file);
  GenerationDefaults g;
  if (tokenizer) g.stop_ids = gguf_stop_ids(*tokenizer);
  const auto number = [&](std::string_view key, double min, std::optional<double>& out) -> Status {
    QW_TRY(out, keys.number(key));
    if (out && !(*out >= min && std::isfinite(*out)))
      return keys.bad_value(key, {"expected", fmt::format(">= {}", min)}, {"found", *out});
    return {};
  };
  QW_TRY(number("general.sampling.temp", 0.0, g.temperature));
  QW_TRY(number("general.sampling.top_p", 0.0, g.top_p));
  QW_TRY(number("general.sampling.min_p", 0.0, g.min_p));
  QW_TRY(number("general.sampling.penalty_repeat", 0.0, g.repetition_penalty));
  QW_TRY(const auto top_k, keys.integer("general.sampling.top_k"));
  if (top_k && (*top_k < 0 || *top_k > std::numeric_limits<int32_t>::max()))
    return keys.bad_value("general.sampling.top_k", {"expected", ">= 0"}, {"found", *top_k});
  if (top_k) g.top_k = static_cast<int32_t>(*top_k);
  return g;
}

}  // namespace qw
