#include "models/hybrid.h"

#include "models/hybrid_config.h"
#include "nn/gated_attention.h"
#include "nn/gated_delta.h"
#include "nn/layers.h"
#include "nn/mlp.h"
#include "ops/add.h"
#include "ops/concat_columns.h"

namespace qw {
namespace {

struct Layer {
  bool linear = false, sparse = false;
  nn::RmsNorm norm1, norm2;
  nn::GatedDelta delta;
  nn::GatedAttention attention;
  nn::Mlp mlp;
  nn::Moe moe;

  void configure(const HybridConfig& c, bool is_linear, bool is_sparse) {
    linear = is_linear;
    sparse = is_sparse;
    delta.shape = c.delta;
    delta.layout = c.layout;
    attention.heads = c.heads;
    attention.kv_heads = c.kv_heads;
    attention.head_dim = c.head_dim;
    attention.bias = c.attention_bias;
    moe.config = c.moe;
    delta.norm.eps = c.eps;  // this one multiplies by its weight as it is
    for (nn::RmsNorm* n : {&norm1, &norm2, &attention.q_norm, &attention.k_norm}) {
      n->eps = c.eps;
      n->centre = 1.0;
    }
  }

  void visit(Visitor& vis, const HybridConfig& c) {
    const int64_t hidden = c.info.hidden;
    norm1.visit(vis, "input_layernorm", hidden);
    if (linear)
      delta.visit(vis, "linear_attn", hidden);
    else
      attention.visit(vis, "self_attn", hidden);
    norm2.visit(vis, "post_attention_layernorm", hidden);
    if (sparse)
      moe.visit(vis, "mlp", hidden);
    else
      mlp.visit(vis, "mlp", hidden, c.ffn, false);
  }

  // x [T, D]; table: the rotation of every row; `il`: the layer's place in the cache.
  Tensor forward(Ctx& cx, Tensor x, const Tensor& table, const ops::AttnStep& step, int il) const {
    const Tensor h = norm1(cx, x);
    x = ops::add_over(cx, x, linear ? delta(cx, h, *step.plan, il) : attention(cx, h, table, step, il));
    const Tensor m = norm2(cx, x);
    return ops::add_over(cx, x, sparse ? moe(cx, m) : mlp(cx, m));
  }
};

// The extra layer that drafts: norm of the token's embedding beside norm of the hidden state, projected, then
// a layer of full attention and a norm. Embedding and head are the model's.
struct Mtp {
  nn::RmsNorm norm_embedding, norm_hidden, norm;
  nn::Linear fc;  // [D, 2 D]
  Layer layer;

  void configure(const HybridConfig& c) {
    layer.configure(c, false, c.has_experts());
    for (nn::RmsNorm* n : {&norm_embedding, &norm_hidden, &norm}) {
      n->eps = c.eps;
      n->centre = 1.0;
    }
  }
  void visit(Visitor& v, const HybridConfig& c) {
    const Visitor::Scope scope(v, "mtp");
    const int64_t hidden = c.info.hidden;
    fc.visit(v, "fc", {hidden, 2 * hidden}, false, ShardAxis::rows);
    norm_embedding.visit(v, "pre_fc_norm_embedding", hidden);
    norm_hidden.visit(v, "pre_fc_norm_hidden", hidden);
    {
      const Visitor::Scope only(v, "layers.0");
      layer.visit(v, c);
    }
    norm.visit(v, "norm", hidden);
  }
};

class Hybrid : public Model {
 public:
  explicit Hybrid(HybridConfig config)
      : c_(std::move(config)), layers_(static_cast<size_t>(c_.info.n_layers)) {
    for (size_t il = 0; il < layers_.size(); ++il) layers_[il].configure(c_, c_.linear[il], c_.sparse[il]);
    norm_.eps = c_.eps;
    norm_.centre = 1.0;
    mtp_.configure(c_);
  }

  const ModelInfo& info() const override { return c_.info; }

  void visit(Visitor& v) override {
    {
      const Visitor::Scope model(v, "model");
      embed_.visit(v, "embed_tokens", c_.info.vocab, c_.info.hidden);
      for (size_t il = 0; il < layers_.size(); ++il) {
        const Visitor::Scope layer(v, "layers." + std::to_string(il));
        layers_[il].visit(v, c_);
      }
      norm_.visit(v, "norm", c_.info.hidden);
    }
    if (!c_.tied) head_.visit(v, c_.info.vocab, c_.info.hidden);
    if (has_mtp()) mtp_.visit(v, c_);
  }

  std::vector<LayerCache> cache_spec() const override {
    const CacheSpec pages{CacheSpec::Kind::paged, c_.kv_heads, c_.head_dim, 0, 0};
    const CacheSpec state{CacheSpec::Kind::recurrent, 0, 0, 0, c_.delta.state_floats()};
    std::vector<LayerCache> out;
    for (const bool linear : c_.linear) out.push_back({linear ? state : pages});
    if (has_mtp()) out.push_back({pages});
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
      return layers_[static_cast<size_t>(il)].forward(inner, in, table, step, il);
    });
    return norm_(cx, nn::wanted_rows(cx, x, b));
  }

  bool has_mtp() const override { return c_.mtp_layers > 0; }

  Tensor mtp_features(Ctx& cx, const Tensor& hidden, const Batch& b) const override {
    QW_CHECK(has_mtp() && hidden.dim(0) == b.n_rows(), "mtp_features of {} for {} rows", hidden.shape().str(),
             b.n_rows());
    const Tensor e = mtp_.norm_embedding(cx, embed_(cx, cx.arena.upload(b.ids)));  // [T, D]
    const Tensor x = mtp_.fc(cx, ops::concat_columns(cx, e, mtp_.norm_hidden(cx, hidden)));
    const Tensor table = ops::rope_table(cx, cx.arena.upload(b.positions), c_.rope);
    const ops::AttnStep step = ops::prepare_attention(cx, b.plan);
    const Tensor y = mtp_.layer.forward(cx, x, table, step, c_.info.n_layers);
    return mtp_.norm(cx, nn::wanted_rows(cx, y, b));
  }

 private:
  HybridConfig c_;
  nn::Embedding embed_;
  std::vector<Layer> layers_;
  nn::RmsNorm norm_;
  nn::Head head_;
  Mtp mtp_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_hybrid(const Json& config, std::vector<Error>& warnings) {
  QW_TRY(HybridConfig c, parse_hybrid_config(config, warnings));
  return std::make_unique<Hybrid>(std::move(c));
}

}  // namespace qw
