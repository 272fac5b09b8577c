#include "models/qwen.h"

#include <cmath>

#include "nn/layers.h"
#include "nn/modules.h"
#include "nn/rope_config.h"
#include "ops/add.h"
#include "ops/attention.h"
#include "ops/columns.h"
#include "ops/silu_mul.h"

namespace qw {
namespace {

using nn::ConfigReader;

// Lengths up to seq_length · 2^20 have a frequency of their own: more than positions can be.
constexpr int kNtkSteps = 21;

struct QwenConfig {
  ModelInfo info;
  int heads = 0, head_dim = 0, ffn = 0;
  int seq_length = 0;  // of the training: beyond it LogN and NTK set in
  double eps = 0;
  bool tied = false, logn = false, ntk = false;
  std::vector<ops::RopeSpec> rope;  // by NTK step n: base · (2^n − 1)^(hd / (hd − 2)), n ≥ 1; one without NTK

  double scale() const { return 1.0 / std::sqrt(static_cast<double>(head_dim)); }

  // The step that a prompt of `n` tokens decides: 0 up to seq_length, then one for each doubling
  // (alpha = 2^(ceil(log2(n / seq_length)) + 1) − 1, as get_ntk_alpha).
  size_t ntk_step(int64_t n) const {
    size_t step = 0;
    while (ntk && step + 1 < rope.size() && n > int64_t{seq_length} << step) ++step;
    return step;
  }
};

// The first files of 2023 name some keys in the manner of GPT-2.
int either(ConfigReader& c, std::string_view key, std::string_view old_key) {
  return c.has(key) || !c.has(old_key) ? c.integer(key) : c.integer(old_key);
}

void read_rotation(ConfigReader& c, QwenConfig& q) {
  const double base = c.number("rotary_emb_base", 10000.0);
  c.only("rotary_pct", {1.0, 1});
  if (base <= 1) c.error(Error("config.range", {{"key", "rotary_emb_base"}, {"found", base}}));
  if (!c.status()) return;
  const double dim = q.head_dim;
  for (int step = 1; step <= (q.ntk ? kNtkSteps : 1); ++step) {
    const double alpha = std::pow(2.0, step) - 1;
    q.rope.push_back({nn::rope_frequencies(base * std::pow(alpha, dim / (dim - 2)), q.head_dim), 1.0});
  }
}

Result<QwenConfig> parse(const Json& json, std::vector<Error>& warnings) {
  ConfigReader c(json);
  QwenConfig q;
  q.info.model_type = c.string("model_type");
  q.info.hidden = either(c, "hidden_size", "n_embd");
  q.info.n_layers = either(c, "num_hidden_layers", "n_layer");
  q.info.vocab = c.integer("vocab_size");
  q.info.max_positions = either(c, "max_position_embeddings", "n_positions");
  q.heads = either(c, "num_attention_heads", "n_head");
  q.ffn = either(c, "intermediate_size", "ffn_hidden_size") / 2;
  q.head_dim = c.integer("kv_channels", 128);
  q.seq_length = c.integer("seq_length");
  if (q.seq_length < 2) c.error(Error("config.range", {{"key", "seq_length"}, {"found", q.seq_length}}));
  q.eps = c.number("layer_norm_epsilon", 1e-6);
  q.tied = c.boolean("tie_word_embeddings", false);
  c.only("no_bias", {true});  // c_attn has one all the same
  q.logn = c.boolean("use_logn_attn", true);
  q.ntk = c.boolean("use_dynamic_ntk", true);
  c.only("scale_attn_weights", {true});
  c.only("activation", {"swiglu"});
  c.only("pos_emb", {"rotary"});
  c.only("apply_residual_connection_post_layernorm", {false});
  c.at_most("num_hidden_layers", q.info.n_layers, nn::kMaxLayers);
  c.at_most("kv_channels", q.head_dim, nn::kMaxHeadDim);
  // The reference splits c_attn's output in parts of hidden_size.
  if (c.status() &&
      (q.head_dim < 4 || q.head_dim % 2 != 0 || q.ffn < 1 || int64_t{q.heads} * q.head_dim != q.info.hidden))
    c.error(Error("config.heads", {{"heads", q.heads}, {"kv_heads", q.heads}, {"head_dim", q.head_dim}}));
  read_rotation(c, q);
  QW_TRY(c.status());
  c.harmless({"architectures", "auto_map", "torch_dtype", "dtype", "params_dtype", "transformers_version",
              "use_cache", "initializer_range", "_name_or_path", "bf16", "fp16", "fp32", "softmax_in_fp32",
              "use_flash_attn", "use_cache_quantization", "use_cache_kernel", "attn_dropout_prob",
              "emb_dropout_prob", "attn_pdrop", "embd_pdrop", "resid_pdrop", "bias_dropout_fusion",
              "onnx_safe", "tokenizer_type", "tokenizer_class", "padded_vocab_size", "bos_token_id",
              "eos_token_id", "pad_token_id",
              // the 72B's file names its base twice; the code reads rotary_emb_base
              "rope_theta"});
  warnings = c.unknown_keys();
  return q;
}

struct Layer {
  nn::RmsNorm ln_1, ln_2;
  nn::Linear c_attn, attn_proj, w1, w2, mlp_proj;

  void visit(Visitor& vis, const QwenConfig& c) {
    const int64_t hidden = c.info.hidden;
    ln_1.visit(vis, "ln_1", hidden);
    // The rows are q, k and v one behind the other: cut by rows they would not be heads.
    c_attn.visit(vis, "attn.c_attn", {3 * hidden, hidden}, true, ShardAxis::none);
    attn_proj.visit(vis, "attn.c_proj", {hidden, hidden}, false, ShardAxis::columns);
    ln_2.visit(vis, "ln_2", hidden);
    w1.visit(vis, "mlp.w1", {c.ffn, hidden}, false, ShardAxis::rows);
    w2.visit(vis, "mlp.w2", {c.ffn, hidden}, false, ShardAxis::rows);
    mlp_proj.visit(vis, "mlp.c_proj", {hidden, c.ffn}, false, ShardAxis::columns);
  }

  // x [T, D]; q_table and k_table: the rotation of every row.
  Tensor forward(Ctx& cx, Tensor x, const std::array<Tensor, 2>& tables, const ops::AttnStep& step,
                 const QwenConfig& c, int il) const {
    const Tensor qkv = c_attn(cx, ln_1(cx, x));  // [T, 3·D]
    const auto part = [&](int i) {
      return ops::columns(cx, qkv, int64_t{i} * c.info.hidden, c.info.hidden).heads(c.heads, c.head_dim);
    };
    const Tensor q = ops::rope_over(cx, part(0), tables[0]), k = ops::rope_over(cx, part(1), tables[1]);
    const Tensor a = ops::attention(cx, q, k, part(2), step, {il, c.scale(), 0});  // [T, H, hd]
    x = ops::add_over(cx, x, attn_proj(cx, a.merge_heads()));
    const auto [up, gate] = nn::project(cx, ln_2(cx, x), w1, w2);  // [T, F]
    return ops::add_over(cx, x, mlp_proj(cx, ops::silu_mul(cx, gate, up)));
  }
};

class Qwen : public Model {
 public:
  explicit Qwen(QwenConfig config) : c_(std::move(config)), layers_(static_cast<size_t>(c_.info.n_layers)) {
    norm_.eps = c_.eps;
    for (Layer& l : layers_) l.ln_1.eps = l.ln_2.eps = c_.eps;
  }

  const ModelInfo& info() const override { return c_.info; }

  void visit(Visitor& v) override {
    {
      const Visitor::Scope model(v, "transformer");
      embed_.visit(v, "wte", c_.info.vocab, c_.info.hidden);
      for (size_t il = 0; il < layers_.size(); ++il) {
        const Visitor::Scope layer(v, "h." + std::to_string(il));
        layers_[il].visit(v, c_);
      }
      norm_.visit(v, "ln_f", c_.info.hidden);
    }
    if (!c_.tied) head_.visit(v, c_.info.vocab, c_.info.hidden);
  }

  std::vector<LayerCache> cache_spec() const override {
    return std::vector<LayerCache>(layers_.size(),
                                   {CacheSpec{CacheSpec::Kind::paged, c_.heads, c_.head_dim, 0, 0}});
  }

  bool tied_head() const override { return c_.tied; }
  const Weight& head() const override { return c_.tied ? embed_.weight : head_.weight; }
  uint64_t prompt_class(int n_prompt) const override { return c_.ntk_step(n_prompt); }

  Tensor features(Ctx& cx, const Batch& b) const override {
    Tensor x = embed_(cx, cx.arena.upload(b.ids));  // [T, D]
    cx.tap("embed", x);
    const std::array<Tensor, 2> tables = rotations(cx, b);
    const ops::AttnStep step = ops::prepare_attention(cx, b.plan);
    x = nn::run_layers(cx, x, c_.info.n_layers, [this, tables, step](Ctx& inner, const Tensor& in, int il) {
      return layers_[static_cast<size_t>(il)].forward(inner, in, tables, step, c_, il);
    });
    return norm_(cx, nn::wanted_rows(cx, x, b));
  }

 private:
  // The rotation of the queries, into which LogN's factor is folded, and that of the keys. Training uses
  // neither LogN nor NTK, as in the reference.
  std::array<Tensor, 2> rotations(Ctx& cx, const Batch& b) const {
    const Tensor positions = cx.arena.upload(b.positions);
    const bool training = cx.tape != nullptr;
    std::vector<ops::RopePart> queries, keys;
    bool scaled = false;
    for (int s = 0; s < b.plan.n_seqs(); ++s) {
      const auto i = static_cast<size_t>(s);
      const std::vector<int32_t>& prompts = b.plan.n_prompt.empty() ? b.plan.kv_len : b.plan.n_prompt;
      const ops::RopeSpec& spec = c_.rope[training ? 0 : c_.ntk_step(prompts[i])];
      const int32_t begin = b.plan.cu_q[i], end = b.plan.cu_q[i + 1];
      if (begin == end) continue;
      keys.push_back({begin, end, &spec, 1.0});
      // Rows beyond the training length come last: each has a factor of its own.
      int32_t plain = end;
      if (c_.logn && !training)
        while (plain > begin && b.positions[static_cast<size_t>(plain - 1)] >= c_.seq_length) --plain;
      if (plain > begin) queries.push_back({begin, plain, &spec, 1.0});
      for (int32_t row = plain; row < end; ++row) {
        const double n = b.positions[static_cast<size_t>(row)] + 1.0;
        queries.push_back({row, row + 1, &spec, std::log(n) / std::log(static_cast<double>(c_.seq_length))});
        scaled = true;
      }
    }
    const Tensor key_table = ops::rope_table(cx, positions, keys);
    return {scaled ? ops::rope_table(cx, positions, queries) : key_table, key_table};
  }

  QwenConfig c_;
  nn::Embedding embed_;
  std::vector<Layer> layers_;
  nn::RmsNorm norm_;
  nn::Head head_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_qwen(const Json& config, std::vector<Error>& warnings) {
  QW_TRY(QwenConfig c, parse(config, warnings));
  return std::make_unique<Qwen>(std::move(c));
}

}  // namespace qw
