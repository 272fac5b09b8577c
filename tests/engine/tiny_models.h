// Tiny models with random weights for the tests of engine and paths: the real architectures through a
// WeightSource that makes every tensor up, and a toy hybrid with a recurrent layer.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/rng.h"
#include "core/kv_pool.h"
#include "models/model.h"
#include "ops/add.h"
#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/gather_rows.h"
#include "ops/linear.h"
#include "ops/rms_norm.h"

namespace qw::test {

inline uint64_t hash_name(std::string_view name) {
  uint64_t h = 0xCBF29CE484222325U;
  for (const char c : name) h = (h ^ static_cast<uint8_t>(c)) * 0x100000001B3U;
  return h;
}

// Values of the tensor `name`: norms near 1, the rest such that activations keep their size.
inline std::vector<float> random_values(std::string_view name, std::span<const int64_t> shape,
                                        uint64_t seed) {
  const Rng rng(hash_name(name) ^ (seed * 0x9E3779B97F4A7C15U));
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  const bool norm = name.find("norm") != name.npos;
  const double spread = shape.size() == 1 ? 0.2 : 1.0 / std::sqrt(static_cast<double>(shape.back()));
  std::vector<float> x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>((norm ? 1.0 : 0.0) + spread * rng.normal(i));
  return x;
}

// Gives every tensor that is asked for, matrices in `format` (f32, bf16 or q8_0).
class RandomSource : public WeightSource {
 public:
  explicit RandomSource(uint64_t seed, QuantFormat format = QuantFormat::f32)
      : seed_(seed), format_(format) {}

  std::vector<std::string> names() const override { return {}; }
  bool has(std::string_view) const override { return true; }
  void ignore(std::string_view) override {}
  Status finish() override { return {}; }

  Result<WeightBytes> take(std::string_view name, std::span<const int64_t> shape) override {
    const std::vector<float> x = random_values(name, shape, seed_);
    const bool quantise = shape.size() == 2 && shape[1] % 32 == 0;
    const QuantFormat format = quantise ? format_ : QuantFormat::f32;
    auto bytes = std::make_shared<std::vector<std::byte>>(encode(x, format));
    return WeightBytes{format, {shape.begin(), shape.end()}, *bytes, bytes};
  }

 private:
  template <class T>
  static void put(std::vector<std::byte>& out, const T& v) {
    const auto* p = reinterpret_cast<const std::byte*>(&v);
    out.insert(out.end(), p, p + sizeof v);
  }

  static std::vector<std::byte> encode(const std::vector<float>& x, QuantFormat format) {
    std::vector<std::byte> out;
    for (size_t i = 0; i < x.size(); ++i) {
      if (format == QuantFormat::f32) {
        put(out, x[i]);
      } else if (format == QuantFormat::bf16) {
        put(out, static_cast<uint16_t>(std::bit_cast<uint32_t>(x[i]) >> 16));
      } else {
        if (i % 32 == 0) put(out, uint16_t{0x2000});  // q8_0 with the scale 2^−7
        put(out, static_cast<int8_t>(std::lround(std::clamp(x[i] * 128.0F, -127.0F, 127.0F))));
      }
    }
    return out;
  }

  uint64_t seed_;
  QuantFormat format_;
};

// A small config.json of a hybrid: "qwen3_5_text", "qwen3_5_moe_text" or "qwen3_next".
inline Json tiny_hybrid_config(const std::string& type, std::mt19937& rng) {
  auto pick = [&](std::initializer_list<int> values) {
    return values.begin()[std::uniform_int_distribution<size_t>(0, values.size() - 1)(rng)];
  };
  const int kv_heads = pick({1, 2}), k_heads = pick({1, 2});
  return {{"model_type", type},
          {"num_hidden_layers", pick({2, 3, 5})},
          {"full_attention_interval", pick({2, 3})},
          {"hidden_size", pick({32, 64})},
          {"intermediate_size", pick({40, 64})},
          {"num_attention_heads", kv_heads * pick({1, 2})},
          {"num_key_value_heads", kv_heads},
          {"head_dim", pick({16, 32})},
          {"linear_conv_kernel_dim", pick({2, 4})},
          {"linear_key_head_dim", pick({8, 16})},
          {"linear_value_head_dim", pick({8, 20, 70})},
          {"linear_num_key_heads", k_heads},
          {"linear_num_value_heads", k_heads * pick({1, 2})},
          {"num_experts", 5},
          {"num_experts_per_tok", 2},
          {"moe_intermediate_size", 32},
          {"shared_expert_intermediate_size", 32},
          {"mtp_num_hidden_layers", pick({0, 1})},
          {"vocab_size", pick({64, 97})},
          {"max_position_embeddings", 512},
          {"rms_norm_eps", 1e-6},
          {"rope_parameters",
           {{"rope_type", "default"}, {"rope_theta", 10000.0}, {"partial_rotary_factor", 0.25}}},
          {"tie_word_embeddings", pick({0, 1}) == 1}};
}

// A small config.json of any architecture that qw runs.
inline Json tiny_config(const std::string& type, std::mt19937& rng) {
  if (type.starts_with("qwen3_5") || type == "qwen3_next") return tiny_hybrid_config(type, rng);
  auto pick = [&](std::initializer_list<int> values) {
    return values.begin()[std::uniform_int_distribution<size_t>(0, values.size() - 1)(rng)];
  };
  const int kv_heads = pick({1, 2});
  const int heads = kv_heads * pick({1, 2, 3});
  Json c = {{"model_type", type},
            {"num_hidden_layers", pick({1, 2, 3})},
            {"num_attention_heads", heads},
            {"num_key_value_heads", kv_heads},
            {"intermediate_size", pick({40, 64, 96})},
            {"vocab_size", pick({64, 97, 130})},
            {"max_position_embeddings", 512},
            {"rms_norm_eps", 1e-6},
            {"rope_theta", 10000.0},
            {"tie_word_embeddings", pick({0, 1}) == 1}};
  if (type.ends_with("_moe")) {
    c["num_experts"] = pick({2, 5, 8, 33});
    c["num_experts_per_tok"] = pick({1, 2});
    c["moe_intermediate_size"] = pick({32, 40});
    c["norm_topk_prob"] = pick({0, 1}) == 1;
    c["decoder_sparse_step"] = pick({1, 1, 2});
    if (type == "qwen2_moe") c["shared_expert_intermediate_size"] = pick({32, 56});
  }
  if (type.starts_with("qwen2")) {
    c["hidden_size"] = heads * pick({8, 16, 20});
  } else {
    c["hidden_size"] = pick({32, 48, 64});
    c["head_dim"] = pick({8, 16, 24});
  }
  if (type != "llama" && pick({0, 1}) == 1) {
    c["use_sliding_window"] = true;
    c["sliding_window"] = pick({5, 32, 50});
    c["max_window_layers"] = pick({0, 1});
  }
  return c;
}

inline std::unique_ptr<Model> tiny_model(const Json& config, Backend& backend, uint64_t seed,
                                         QuantFormat format = QuantFormat::f32) {
  RandomSource source(seed, format);
  auto loaded = load_model(config, source, backend);
  QW_CHECK(loaded.has_value(), "{}", loaded.error().debug());
  return std::move(loaded->model);
}

// A recurrent layer (state ← 0.9 · state + x, out = norm(state)) below an attention layer; weights of a tied
// head. Everything is a backend call, so it runs wherever its tensors live.
class ToyHybrid : public Model {
 public:
  static constexpr int kHidden = 32, kHeads = 2, kHeadDim = 16;

  ToyHybrid(Backend& backend, uint64_t seed) {
    info_ = {.model_type = "toy", .n_layers = 2, .hidden = kHidden, .vocab = 61, .max_positions = 512};
    make(backend, embed_, "embed", {info_.vocab, kHidden}, seed);
    make(backend, norm_, "norm", {kHidden}, seed);
    for (Weight* w : {&q_, &k_, &v_})
      make(backend, *w, "proj" + std::to_string(w - &q_), {kHeads * kHeadDim, kHidden}, seed);
  }

  const ModelInfo& info() const override { return info_; }
  void visit(Visitor& v) override {
    for (Weight* w : {&embed_, &norm_, &q_, &k_, &v_}) v.weight(*w, w->name, w->shape, ShardAxis::none);
  }
  bool tied_head() const override { return true; }
  std::vector<LayerCache> cache_spec() const override {
    return {{CacheSpec{CacheSpec::Kind::recurrent, 0, 0, 0, kHidden}},
            {CacheSpec{CacheSpec::Kind::paged, kHeads, kHeadDim, 0, 0}}};
  }

  const Weight& head() const override { return embed_; }

  Tensor features(Ctx& cx, const Batch& b) const override {
    Tensor x = ops::embedding(cx, cx.arena.upload(b.ids), embed_);  // [T, D]
    x = ops::add(cx, x, recur(cx, x, b.plan));
    const ops::AttnStep step = ops::prepare_attention(cx, b.plan);
    const Shape heads{b.n_rows(), kHeads, kHeadDim};
    const Tensor h = ops::rms_norm(cx, x, norm_, 1e-6);
    const Tensor a =
        ops::attention(cx, ops::linear(cx, h, q_).view(heads), ops::linear(cx, h, k_).view(heads),
                       ops::linear(cx, h, v_).view(heads), step, {1, 0.25, 0});
    x = ops::add(cx, x, a.view({b.n_rows(), kHidden}));
    x = ops::gather_rows(cx, x, cx.arena.upload(b.logit_rows));
    return ops::rms_norm(cx, x, norm_, 1e-6);  // [R, D]
  }

 private:
  static void make(Backend& backend, Weight& w, const std::string& name, const Shape& shape, uint64_t seed) {
    const std::vector<float> x = random_values(name, shape.dims(), seed);
    w.name = name;
    w.shape = shape;
    w.data = Tensor(*backend.alloc(x.size() * sizeof(float)), 0, shape, DType::f32);
    backend.upload(w.data, x.data());
  }

  Tensor recur(Ctx& cx, const Tensor& x, const AttnPlan& plan) const {
    const Tensor y = cx.alloc(x.shape());
    for (int s = 0; s < plan.n_seqs(); ++s) {
      const auto i = static_cast<size_t>(s);
      Tensor state;  // [1, D]
      if (plan.pool != nullptr) {
        state = plan.pool->state(0).slice(0, plan.state_slots[i], 1);
      } else {
        state = cx.alloc({1, kHidden});
        cx.backend.fill(state, 0.0);
      }
      for (int32_t t = plan.cu_q[i]; t < plan.cu_q[i + 1]; ++t) {
        cx.backend.scale(state, state, 0.9);
        cx.backend.axpy(state, 1.0, x.slice(0, t, 1));
        cx.backend.copy(y.slice(0, t, 1), state);
        for (const AttnPlan::StateSave& save : plan.state_saves)
          if (save.row == t) cx.backend.copy(plan.pool->state(0).slice(0, save.slot, 1), state);
      }
    }
    return ops::rms_norm(cx, y, norm_, 1e-6);
  }

  ModelInfo info_;
  Weight embed_, norm_, q_, k_, v_;
};

}  // namespace qw::test
