#include "io/gguf/qwen.h"

#include <algorithm>
#include <array>

#include "io/gguf/keys.h"
#include "nn/config_reader.h"

namespace qw {
namespace {

constexpr std::string_view kPrefix = "qwen.";

constexpr auto kKnownKeys = std::to_array<std::string_view>(
    {"vocab_size", "embedding_length", "feed_forward_length", "block_count", "context_length",
     "attention.head_count", "attention.head_count_kv", "attention.layer_norm_rms_epsilon",
     "attention.layer_norm_epsilon", "rope.freq_base", "rope.dimension_count", "seq_length", "use_logn_attn",
     "use_dynamic_ntk"});

std::string key(std::string_view tail) {
  return fmt::format("{}{}", kPrefix, tail);
}

class Reader {
 public:
  explicit Reader(const GgufFile& file) : file_(file), keys_(file) {}

  Result<int64_t> size(std::string_view tail, std::optional<int64_t> otherwise = std::nullopt) const {
    return keys_.size(key(tail), otherwise);
  }
  Status must_equal(std::string_view tail, int64_t expected) const {
    QW_TRY(const int64_t n, size(tail, expected));
    if (n != expected) return keys_.bad_value(key(tail), {"expected", expected}, {"found", n});
    return {};
  }
  Result<double> positive(std::string_view tail) const { return keys_.positive(key(tail)); }
  Result<bool> flag(std::string_view tail) const {
    QW_TRY(const auto f, keys_.flag(key(tail)));
    return f.value_or(false);
  }
  Result<std::vector<int64_t>> shape(std::string_view tensor) const {
    const auto it = file_.tensors().find(tensor);
    if (it == file_.tensors().end() || it->second.shape.size() != 2)
      return fail("gguf.tensor_missing", {{"file", keys_.name()}, {"tensor", tensor}});
    return it->second.shape;
  }
  const GgufKeys& keys() const { return keys_; }

 private:
  const GgufFile& file_;
  const GgufKeys keys_;
};

Status add_sizes(const GgufFile& file, const Reader& r, Json& config) {
  QW_TRY(const auto embedding, r.shape("token_embd.weight"));
  QW_TRY(r.must_equal("vocab_size", embedding[0]));
  QW_TRY(r.must_equal("embedding_length", embedding[1]));
  QW_TRY(const int64_t heads, r.size("attention.head_count"));
  QW_TRY(r.must_equal("attention.head_count_kv", heads));
  if (embedding[1] % heads != 0)
    return r.keys().bad_value(key("attention.head_count"), {"expected", embedding[1]}, {"found", heads});
  QW_TRY(r.must_equal("rope.dimension_count", embedding[1] / heads));
  QW_TRY(const int64_t layers, r.size("block_count"));
  QW_TRY(r.keys().check_blocks(key("block_count"), layers));
  QW_TRY(const int64_t ffn, r.size("feed_forward_length"));
  QW_TRY(const int64_t context, r.size("context_length"));
  QW_TRY(const int64_t seq_length, r.size("seq_length", context));
  config["vocab_size"] = embedding[0];
  config["hidden_size"] = embedding[1];
  config["intermediate_size"] = ffn;
  config["num_hidden_layers"] = layers;
  config["num_attention_heads"] = heads;
  config["kv_channels"] = embedding[1] / heads;
  config["max_position_embeddings"] = context;
  config["seq_length"] = seq_length;
  config["tie_word_embeddings"] = !file.tensors().contains("output.weight");
  return {};
}

}  // namespace

Result<Json> gguf_qwen_config(const GgufFile& file, const std::optional<GgufTokenizer>& tokenizer) {
  const Reader r(file);
  Json config = Json::object();
  config["architectures"] = Json::array({"QWenLMHeadModel"});
  config["model_type"] = "qwen";
  QW_TRY(add_sizes(file, r, config));
  if (tokenizer && static_cast<int64_t>(tokenizer->tokens.size()) > config["vocab_size"].get<int64_t>())
    return r.keys().bad_value("tokenizer.ggml.tokens", {"expected", config["vocab_size"].get<int64_t>()},
                              {"found", tokenizer->tokens.size()});
  QW_TRY(config["layer_norm_epsilon"], r.positive("attention.layer_norm_rms_epsilon"));
  QW_TRY(config["rotary_emb_base"], r.positive("rope.freq_base"));
  QW_TRY(config["use_logn_attn"], r.flag("use_logn_attn"));
  QW_TRY(config["use_dynamic_ntk"], r.flag("use_dynamic_ntk"));
  if (tokenizer && tokenizer->bos) config["bos_token_id"] = *tokenizer->bos;
  if (tokenizer && tokenizer->eos) config["eos_token_id"] = *tokenizer->eos;
  if (tokenizer && tokenizer->padding) config["pad_token_id"] = *tokenizer->padding;
  for (const auto& [name, value] : file.metadata())
    if (name.starts_with(kPrefix) &&
        std::find(kKnownKeys.begin(), kKnownKeys.end(), name.substr(kPrefix.size())) == kKnownKeys.end())
      config[std::string(name)] = value.type_text();
  return config;
}

Result<Json> qwen_in_common_words(const Json& config) {
  constexpr std::array<std::array<std::string_view, 3>, 8> kWords{
      {{"hidden_size", "hidden_size", "n_embd"},
       {"num_hidden_layers", "num_hidden_layers", "n_layer"},
       {"num_attention_heads", "num_attention_heads", "n_head"},
       {"intermediate_size", "intermediate_size", "ffn_hidden_size"},
       {"max_position_embeddings", "max_position_embeddings", "n_positions"},
       {"vocab_size", "vocab_size", "vocab_size"},
       {"rms_norm_eps", "layer_norm_epsilon", "layer_norm_epsilon"},
       {"rope_theta", "rotary_emb_base", "rotary_emb_base"}}};
  Json out = {{"model_type", "qwen"}, {"rms_norm_eps", 1e-6}, {"rope_theta", 10000.0}};
  for (const auto& [common, own, old] : kWords)
    for (const std::string_view from : {old, own})
      if (config.contains(from) && !config[std::string(from)].is_null())
        out[std::string(common)] = config[std::string(from)];
  return out;
}

Status add_qwen_words(GgufMetadata& metadata, const Json& config) {
  nn::ConfigReader c(config);
  const int hidden = c.has("hidden_size") ? c.integer("hidden_size") : c.integer("n_embd");
  const int heads = c.has("num_attention_heads") ? c.integer("num_attention_heads") : c.integer("n_head");
  const int seq_length = c.integer("seq_length");
  const bool logn = c.boolean("use_logn_attn", true), ntk = c.boolean("use_dynamic_ntk", true);
  QW_TRY(c.status());
  metadata.u32(key("rope.dimension_count"), static_cast<uint32_t>(hidden / heads));
  metadata.u32(key("seq_length"), static_cast<uint32_t>(seq_length));
  metadata.flag(key("use_logn_attn"), logn);
  metadata.flag(key("use_dynamic_ntk"), ntk);
  return {};
}

}  // namespace qw
