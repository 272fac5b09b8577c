// The building blocks of the architectures: a weight or two, the op that uses them, and the trace tap of the
// result. Tap names are weight names less "model." and ".weight". Test: tests/golden (tap by tap against the
// reference library).
#pragma once

#include <array>

#include "nn/visitor.h"
#include "ops/embedding.h"
#include "ops/linear.h"
#include "ops/rms_norm.h"

namespace qw::nn {

// "model.layers.0.mlp.down_proj.weight" → "layers.0.mlp.down_proj".
std::string_view tap_name(const Weight& w);

struct Linear {
  Weight weight;  // [N, K]
  Weight bias;    // [N], or not defined

  void visit(Visitor& v, std::string_view name, const Shape& shape, bool has_bias, ShardAxis axis);
  Tensor operator()(Ctx& cx, const Tensor& x) const;  // [T, K] → [T, N]
};

// The output head: a row a token.
struct Head {
  Weight weight;  // [V, D]

  void visit(Visitor& v, int64_t vocab, int64_t dim);
};

struct RmsNorm {
  Weight weight;  // [D]
  double eps = 0;
  double centre = 0;  // added to the weight: 1 where the file stores w − 1; before visit()

  void visit(Visitor& v, std::string_view name, int64_t dim);
  Tensor operator()(Ctx& cx, const Tensor& x) const;  // [..., D] → the same
};

struct Embedding {
  Weight weight;  // [V, D]

  void visit(Visitor& v, std::string_view name, int64_t vocab, int64_t dim);
  Tensor operator()(Ctx& cx, const Tensor& ids) const;  // i32 [T] → [T, D]
};

// One input, several weights: a backend that prepares the input once for all of them hooks in here.
template <class... Linears>
std::array<Tensor, sizeof...(Linears)> project(Ctx& cx, const Tensor& x, const Linears&... linear) {
  return {linear(cx, x)...};
}

}  // namespace qw::nn
