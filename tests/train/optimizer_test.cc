// optimizer.h: which weights Muon takes, and its steps against the formulas in double.
#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "backend/cpu/cpu_backend.h"
#include "base/rng.h"
#include "models/model.h"

namespace qw::train {
namespace {

// Whatever an architecture calls its weights: of the original Qwen the embedding is transformer.wte.
TEST(Optimizer, MuonTakesTheMatricesBetweenEmbeddingAndHead) {
  const Json config = {{"model_type", "qwen"},    {"vocab_size", 64},       {"hidden_size", 16},
                       {"intermediate_size", 48}, {"num_hidden_layers", 1}, {"num_attention_heads", 2},
                       {"kv_channels", 8},        {"seq_length", 32},       {"max_position_embeddings", 32}};
  auto made = make_model(config);
  ASSERT_TRUE(made) << made.error().debug();
  const auto backend = make_cpu_backend({.threads = 1, .isa = {}, .products = {}}).value();
  WeightList list;
  made->model->visit(list);
  const Optimizer o = Optimizer::create(*backend, {.muon = true}, list.weights()).value();
  std::map<std::string, int> states;  // AdamW has two a weight
  for (const auto& [name, tensor] : o.state()) ++states[name.substr(2)];
  EXPECT_EQ(states.at("transformer.wte.weight"), 2);
  EXPECT_EQ(states.at("lm_head.weight"), 2);
  EXPECT_EQ(states.at("transformer.ln_f.weight"), 2);
  EXPECT_EQ(states.at("transformer.h.0.attn.c_attn.bias"), 2);
  EXPECT_EQ(states.at("transformer.h.0.attn.c_attn.weight"), 1);
  EXPECT_EQ(states.at("transformer.h.0.mlp.c_proj.weight"), 1);
}

using Matrix = std::vector<double>;  // [rows, cols]

// a [n, k] · b [k, m]
Matrix product(const Matrix& a, const Matrix& b, size_t n, size_t k, size_t m) {
  Matrix out(n * m, 0.0);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < m; ++j)
      for (size_t t = 0; t < k; ++t) out[i * m + j] += a[i * k + t] * b[t * m + j];
  return out;
}

Matrix transposed(const Matrix& a, size_t n, size_t k) {
  Matrix out(a.size());
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < k; ++j) out[j * n + i] = a[i * k + j];
  return out;
}

double length(const Matrix& a) {
  double sum = 0;
  for (const double x : a) sum += x * x;
  return std::sqrt(sum);
}

// Five Newton-Schulz steps as Jordan (2024) writes them: X ← a X + (b A + c A²) X with A = X Xᵀ, wide
// matrices.
Matrix newton_schulz(Matrix x, size_t n, size_t k) {
  if (n > k) return transposed(newton_schulz(transposed(x, n, k), k, n), k, n);
  const double norm = length(x);
  for (double& v : x) v /= norm;
  for (int step = 0; step < 5; ++step) {
    const Matrix a = product(x, transposed(x, n, k), n, k, n);
    Matrix b = product(a, a, n, n, n);
    for (size_t i = 0; i < b.size(); ++i) b[i] = -4.7750 * a[i] + 2.0315 * b[i];
    const Matrix bx = product(b, x, n, n, k);
    for (size_t i = 0; i < x.size(); ++i) x[i] = 3.4445 * x[i] + bx[i];
  }
  return x;
}

// Of three steps with momentum, clipping and decay: torch.optim.Muon(momentum = 0.95, nesterov = True,
// adjust_lr_fn = "match_rms_adamw"), without its rounding to bf16.
TEST(Optimizer, MuonStepsAsItsFormulas) {
  constexpr double kRate = 0.02, kDecay = 0.1, kClip = 0.5;
  const auto backend = make_cpu_backend_f64().value();
  Arena arena(*backend);
  for (const auto& [n, k] : std::vector<std::pair<size_t, size_t>>{{6, 10}, {10, 6}}) {
    const auto random = [count = n * k](uint64_t seed) {
      Matrix out(count);
      for (size_t i = 0; i < count; ++i) out[i] = Rng(seed).normal(i);
      return out;
    };
    Matrix weight = random(1), momentum(n * k, 0.0);
    Weight w;
    w.name = "model.layers.0.mlp.up_proj.weight";
    w.shape = {static_cast<int64_t>(n), static_cast<int64_t>(k)};
    w.format = QuantFormat::f64;
    w.trainable = true;
    w.data = Tensor(backend->alloc(n * k * sizeof(double)).value(), 0, w.shape, DType::f64);
    backend->upload(w.data, weight.data());
    Optimizer o =
        Optimizer::create(*backend, {.muon = true, .weight_decay = kDecay, .max_grad_norm = kClip}, {&w})
            .value();
    for (uint64_t step = 0; step < 3; ++step) {
      const Matrix gradient = random(10 + step);
      const double norm = length(gradient), clip = kClip / (norm + 1e-6);
      Matrix update(n * k);
      for (size_t i = 0; i < update.size(); ++i) {
        momentum[i] += 0.05 * (clip * gradient[i] - momentum[i]);
        update[i] = clip * gradient[i] + 0.95 * (momentum[i] - clip * gradient[i]);
      }
      update = newton_schulz(update, n, k);
      const double size = 0.2 * std::sqrt(static_cast<double>(std::max(n, k)));
      for (size_t i = 0; i < weight.size(); ++i)
        weight[i] = weight[i] * (1 - kRate * kDecay) - kRate * size * update[i];

      Gradients gradients(*backend);
      backend->upload(gradients.of(w), gradient.data());
      EXPECT_NEAR(o.step(gradients, arena, kRate), norm, 1e-12);
      Matrix got(n * k);
      backend->download(got.data(), w.data);
      for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], weight[i], 1e-12) << step << " " << i;
    }
  }
}

}  // namespace
}  // namespace qw::train
