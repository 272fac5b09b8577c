#include "models/decoder.h"

#include <algorithm>
#include <cmath>

#include "nn/layers.h"
#include "nn/mlp.h"
#include "nn/rope_config.h"
#include "nn/window_config.h"
#include "ops/add.h"
#include "ops/attention.h"

namespace qw {
namespace {

using nn::ConfigReader;

struct DecoderConfig {
  ModelInfo info;
  int heads = 0, kv_heads = 0, head_dim = 0, ffn = 0;
  double eps = 0;
  bool tied = false;
  bool qkv_bias = false, o_bias = false,
       mlp_bias = false;    // qwen2: on q, k, v; llama, qwen3: attention_bias on all four
  bool qk_norm = false;     // qwen3: RMSNorm of each head before rotation
  std::vector<int> window;  // [L], 0: full attention
  nn::MoeConfig moe;
  std::vector<bool> sparse;  // [L]: the layer has experts
  ops::RopeSpec rope;

  double scale() const { return 1.0 / std::sqrt(static_cast<double>(head_dim)); }
};

// What differs between the types. Defaults are those of LlamaConfig, Qwen2Config, Qwen3Config, Qwen2MoeConfig
// and Qwen3MoeConfig (transformers 5).
void read_variant(ConfigReader& c, DecoderConfig& d) {
  const std::string& type = d.info.model_type;
  const int hidden_per_head = std::max(d.info.hidden / std::max(d.heads, 1), 1);
  d.head_dim = c.integer("head_dim", type == "qwen3" ? 128 : hidden_per_head);
  const auto n_layers = static_cast<size_t>(std::max(d.info.n_layers, 0));
  d.window.assign(n_layers, 0);
  d.sparse.assign(n_layers, false);
  if (type == "qwen2" || type == "qwen2_moe") {
    d.qkv_bias = type == "qwen2" || c.boolean("qkv_bias", true);
  } else {
    d.qkv_bias = d.o_bias = c.boolean("attention_bias", false);
  }
  if (type == "llama") {
    d.mlp_bias = c.boolean("mlp_bias", false);
    c.only("pretraining_tp", {1});
    c.only("rope_interleaved", {false});
  } else {
    using nn::WindowRule;
    const WindowRule rule = type == "qwen2_moe"   ? WindowRule::even_below_max_layer
                            : type == "qwen3_moe" ? WindowRule::every_layer
                                                  : WindowRule::from_max_layer;
    d.window = nn::read_windows(c, rule, d.info.n_layers);
  }
  if (type.ends_with("_moe")) {
    d.moe = nn::read_moe(c, type == "qwen2_moe" ? nn::kQwen2Moe : nn::kQwen3Moe);
    d.sparse = nn::read_sparse_layers(c, d.info.n_layers);
  }
  if (type == "qwen3_moe") {  // what Coder-480B's file says and the reference class does not read
    c.only("qkv_bias", {false});
    c.only("use_qk_norm", {true});
    c.only("shared_expert_intermediate_size", {0});
  }
  d.qk_norm = type.starts_with("qwen3");
}

Result<DecoderConfig> parse(const Json& json, std::vector<Error>& warnings) {
  ConfigReader c(json);
  DecoderConfig d;
  d.info.model_type = c.string("model_type");
  d.info.hidden = c.integer("hidden_size");
  d.info.n_layers = c.integer("num_hidden_layers");
  d.info.vocab = c.integer("vocab_size");
  const int max_positions = c.integer("max_position_embeddings");
  d.ffn = c.integer("intermediate_size");
  d.heads = c.integer("num_attention_heads");
  d.kv_heads = c.integer("num_key_value_heads", d.heads);
  d.eps = c.number("rms_norm_eps", 1e-6);
  d.tied = c.boolean("tie_word_embeddings", false);
  c.only("hidden_act", {"silu"});
  c.at_most("num_hidden_layers", d.info.n_layers, nn::kMaxLayers);
  if (c.status()) read_variant(c, d);
  c.at_most("head_dim", d.head_dim, nn::kMaxHeadDim);
  if (c.status() && (d.heads % d.kv_heads != 0 || d.head_dim % 2 != 0))
    c.error(Error("config.heads", {{"heads", d.heads}, {"kv_heads", d.kv_heads}, {"head_dim", d.head_dim}}));
  if (c.status()) {
    nn::RopeConfig rope = nn::read_rope(c, d.head_dim, max_positions, 10000.0);
    d.rope = std::move(rope.spec);
    d.info.max_positions = rope.max_positions;
  }
  QW_TRY(c.status());
  c.harmless({"architectures", "torch_dtype", "dtype", "transformers_version", "use_cache",
              "initializer_range", "attention_dropout", "bos_token_id", "eos_token_id", "pad_token_id",
              "_name_or_path", "is_llama_config", "transformers.js_config", "rope_scaling", "rope_theta",
              "chunk_size_feed_forward", "output_hidden_states", "output_attentions", "return_dict",
              "problem_type", "is_encoder_decoder", "id2label", "label2id",
              // Qwen2 checkpoints carry these of the sliding-window design even where it is off
              "seq_length", "rotary_emb_base"});
  warnings = c.unknown_keys();
  return d;
}

struct Layer {
  nn::RmsNorm norm1, norm2, q_norm, k_norm;
  nn::Linear q, k, v, o;
  nn::Mlp mlp;
  nn::Moe moe;  // instead, where the layer has experts

  void visit(Visitor& vis, const DecoderConfig& c, size_t il) {
    const int64_t hidden = c.info.hidden;
    const int64_t q_width = int64_t{c.heads} * c.head_dim;
    const int64_t kv_width = int64_t{c.kv_heads} * c.head_dim;
    norm1.visit(vis, "input_layernorm", hidden);
    q.visit(vis, "self_attn.q_proj", {q_width, hidden}, c.qkv_bias, ShardAxis::rows);
    k.visit(vis, "self_attn.k_proj", {kv_width, hidden}, c.qkv_bias, ShardAxis::rows);
    v.visit(vis, "self_attn.v_proj", {kv_width, hidden}, c.qkv_bias, ShardAxis::rows);
    o.visit(vis, "self_attn.o_proj", {hidden, q_width}, c.o_bias, ShardAxis::columns);
    if (c.qk_norm) {
      q_norm.visit(vis, "self_attn.q_norm", c.head_dim);
      k_norm.visit(vis, "self_attn.k_norm", c.head_dim);
    }
    norm2.visit(vis, "post_attention_layernorm", hidden);
    moe.config = c.moe;
    if (c.sparse[il])
      moe.visit(vis, "mlp", hidden);
    else
      mlp.visit(vis, "mlp", hidden, c.ffn, c.mlp_bias);
  }

  // x [T, D]; table: the rotation of every row.
  Tensor forward(Ctx& cx, Tensor x, const Tensor& table, const ops::AttnStep& step, const DecoderConfig& c,
                 int il) const {
    const auto [qx, kx, vx] = nn::project(cx, norm1(cx, x), q, k, v);  // [T, H·hd], [T, K·hd] twice
    Tensor qh = qx.heads(c.heads, c.head_dim);
    Tensor kh = kx.heads(c.kv_heads, c.head_dim);
    if (c.qk_norm) {
      qh = q_norm(cx, qh);
      kh = k_norm(cx, kh);
    }
    const ops::AttnSpec spec{il, c.scale(), c.window[static_cast<size_t>(il)]};
    const Tensor a = ops::attention(cx, ops::rope_over(cx, qh, table), ops::rope_over(cx, kh, table),
                                    vx.heads(c.kv_heads, c.head_dim), step, spec);  // [T, H, hd]
    x = ops::add_over(cx, x, o(cx, a.merge_heads()));
    const Tensor h = norm2(cx, x);
    return ops::add_over(cx, x, c.sparse[static_cast<size_t>(il)] ? moe(cx, h) : mlp(cx, h));
  }
};

class Decoder : public Model {
 public:
  explicit Decoder(DecoderConfig config)
      : c_(std::move(config)), layers_(static_cast<size_t>(c_.info.n_layers)) {
    norm_.eps = c_.eps;
    for (Layer& l : layers_) l.norm1.eps = l.norm2.eps = l.q_norm.eps = l.k_norm.eps = c_.eps;
  }

  const ModelInfo& info() const override { return c_.info; }

  void visit(Visitor& v) override {
    {
      const Visitor::Scope model(v, "model");
      embed_.visit(v, "embed_tokens", c_.info.vocab, c_.info.hidden);
      for (size_t il = 0; il < layers_.size(); ++il) {
        const Visitor::Scope layer(v, "layers." + std::to_string(il));
        layers_[il].visit(v, c_, il);
      }
      norm_.visit(v, "norm", c_.info.hidden);
    }
    if (!c_.tied) head_.visit(v, c_.info.vocab, c_.info.hidden);
  }

  std::vector<LayerCache> cache_spec() const override {
    std::vector<LayerCache> out;
    for (const int window : c_.window) {
      const auto kind = window > 0 ? CacheSpec::Kind::window : CacheSpec::Kind::paged;
      out.push_back({CacheSpec{kind, c_.kv_heads, c_.head_dim, window, 0}});
    }
    return out;
  }

  bool tied_head() const override { return c_.tied; }

  const Weight& head() const override { return c_.tied ? embed_.weight : head_.weight; }

  Tensor features(Ctx& cx, const Batch& b) const override {
    Tensor x = embed_(cx, cx.arena.upload(b.ids));  // [T, D]
    cx.tap("embed", x);
    const Tensor table = ops::rope_table(cx, cx.arena.upload(b.positions), c_.rope);
    const ops::AttnStep step = ops::prepare_attention(cx, b.plan);
    x = nn::run_layers(cx, x, c_.info.n_layers, [this, table, step](Ctx& inner, const Tensor& in, int il) {
      return layers_[static_cast<size_t>(il)].forward(inner, in, table, step, c_, il);
    });
    return norm_(cx, nn::wanted_rows(cx, x, b));
  }

 private:
  DecoderConfig c_;
  nn::Embedding embed_;
  std::vector<Layer> layers_;
  nn::RmsNorm norm_;
  nn::Head head_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_decoder(const Json& config, std::vector<Error>& warnings) {
  QW_TRY(DecoderConfig c, parse(config, warnings));
  return std::make_unique<Decoder>(std::move(c));
}

}  // namespace qw
