#include "nn/gated_delta.h"

#include "ops/sigmoid.h"
#include "ops/silu_mul.h"
#include "ops/take_columns.h"

namespace qw::nn {

void GatedDelta::visit(Visitor& v, std::string_view name, int64_t hidden) {
  const Visitor::Scope scope(v, name);
  const int64_t heads = shape.v_heads, values = heads * shape.v_dim;
  if (layout == DeltaLayout::fused) {
    qkvz.visit(v, "in_proj_qkvz", {shape.channels() + values, hidden}, false, ShardAxis::rows);
  } else {
    qkv.visit(v, "in_proj_qkv", {shape.channels(), hidden}, false, ShardAxis::rows);
    z.visit(v, "in_proj_z", {values, hidden}, false, ShardAxis::rows);
  }
  if (layout != DeltaLayout::parts) {
    ba.visit(v, "in_proj_ba", {2 * heads, hidden}, false, ShardAxis::rows);
  } else {
    b.visit(v, "in_proj_b", {heads, hidden}, false, ShardAxis::rows);
    a.visit(v, "in_proj_a", {heads, hidden}, false, ShardAxis::rows);
  }
  v.weight(conv, "conv1d.weight", {shape.channels(), 1, shape.taps}, ShardAxis::rows);
  a_log.init = {WeightInit::Kind::log_uniform, 16};
  dt_bias.init = {WeightInit::Kind::constant, 1};
  v.weight(a_log, "A_log", {heads}, ShardAxis::rows);
  v.weight(dt_bias, "dt_bias", {heads}, ShardAxis::rows);
  norm.visit(v, "norm", shape.v_dim);
  out.visit(v, "out_proj", {hidden, values}, false, ShardAxis::columns);
}

GatedDelta::Inputs GatedDelta::project_in(Ctx& cx, const Tensor& x) const {
  if (layout == DeltaLayout::parts) {
    const auto [q, gate, w, d] = project(cx, x, qkv, z, b, a);
    return {q, gate, w, d};
  }
  const int64_t dk = shape.k_dim, group = shape.v_heads / shape.k_heads, dv = group * shape.v_dim;
  const Tensor gates = ba(cx, x);
  Inputs in{{},
            {},
            ops::take_columns(cx, gates, shape.k_heads, {{0, group}}),
            ops::take_columns(cx, gates, shape.k_heads, {{group, group}})};
  if (layout == DeltaLayout::fused_gates) {
    in.qkv = qkv(cx, x);
    in.z = z(cx, x);
  } else {
    const Tensor both = qkvz(cx, x);
    in.qkv = ops::take_columns(cx, both, shape.k_heads, {{0, dk}, {dk, dk}, {2 * dk, dv}});
    in.z = ops::take_columns(cx, both, shape.k_heads, {{2 * dk + dv, dv}});
  }
  return in;
}

Tensor GatedDelta::operator()(Ctx& cx, const Tensor& x, const AttnPlan& plan, int layer) const {
  const Inputs in = project_in(cx, x);
  const Tensor mixed = ops::causal_conv(cx, in.qkv, conv, plan, layer);                 // [T, C]
  const Tensor g = ops::delta_decay(cx, in.a, a_log, dt_bias);                          // [T, Hv]
  const Tensor beta = ops::sigmoid(cx, in.b);                                           // [T, Hv]
  const Tensor o = norm(cx, ops::gated_delta(cx, mixed, g, beta, shape, plan, layer));  // [T, Hv, dv]
  return out(cx, ops::silu_mul(cx, in.z, o.merge_heads()));
}

}  // namespace qw::nn
