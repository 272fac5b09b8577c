#include "nn/gated_attention.h"

#include <cmath>

#include "ops/rope.h"
#include "ops/sigmoid.h"
#include "ops/take_columns.h"

namespace qw::nn {

void GatedAttention::visit(Visitor& vis, std::string_view name, int64_t hidden) {
  const Visitor::Scope scope(vis, name);
  const int64_t q_width = int64_t{heads} * head_dim, kv_width = int64_t{kv_heads} * head_dim;
  q.visit(vis, "q_proj", {2 * q_width, hidden}, bias, ShardAxis::rows);
  k.visit(vis, "k_proj", {kv_width, hidden}, bias, ShardAxis::rows);
  v.visit(vis, "v_proj", {kv_width, hidden}, bias, ShardAxis::rows);
  o.visit(vis, "o_proj", {hidden, q_width}, bias, ShardAxis::columns);
  q_norm.visit(vis, "q_norm", head_dim);
  k_norm.visit(vis, "k_norm", head_dim);
}

Tensor GatedAttention::operator()(Ctx& cx, const Tensor& x, const Tensor& table, const ops::AttnStep& step,
                                  int layer) const {
  const auto [both, kx, vx] = project(cx, x, q, k, v);
  const Tensor qx = ops::take_columns(cx, both, heads, {{0, head_dim}});           // [T, H · hd]
  const Tensor gate = ops::take_columns(cx, both, heads, {{head_dim, head_dim}});  // [T, H · hd]
  const Tensor qh = ops::rope_over(cx, q_norm(cx, qx.heads(heads, head_dim)), table);
  const Tensor kh = ops::rope_over(cx, k_norm(cx, kx.heads(kv_heads, head_dim)), table);
  const ops::AttnSpec spec{layer, 1.0 / std::sqrt(static_cast<double>(head_dim)), 0};
  const Tensor a = ops::attention(cx, qh, kh, vx.heads(kv_heads, head_dim), step, spec);  // [T, H, hd]
  return o(cx, ops::sigmoid_mul(cx, gate, a.merge_heads()));
}

}  // namespace qw::nn
