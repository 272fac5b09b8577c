// The full attention of Qwen3-Next and Qwen3.5: queries come with a gate for the output, head by head; q and
// k are normed per head, then rotated in part. Test: tests/golden
#pragma once

#include "nn/modules.h"
#include "ops/attention.h"

namespace qw::nn {

struct GatedAttention {
  int heads = 0, kv_heads = 0, head_dim = 0;  // before visit()
  bool bias = false;
  Linear q;  // [H · 2 hd, D]: of every head the query, then the gate
  Linear k, v, o;
  RmsNorm q_norm, k_norm;

  void visit(Visitor& vis, std::string_view name, int64_t hidden);
  // x [T, D] → the same; table: the rotation of every row; `layer` in the KV pool.
  Tensor operator()(Ctx& cx, const Tensor& x, const Tensor& table, const ops::AttnStep& step,
                    int layer) const;
};

}  // namespace qw::nn
