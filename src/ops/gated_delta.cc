#include "ops/gated_delta.h"

#include "ops/dims.h"

namespace qw::ops {
namespace {

// A state that a later request would read must be the work of one path alone: none of it is recorded.
RecurrentRows rows_of(const Ctx& cx, std::string_view op, const AttnPlan& plan, int layer, int64_t offset) {
  if (plan.pool == nullptr) return {plan, {}};
  if (cx.tape != nullptr) Tape::refuse(op);
  return {plan, plan.pool->state(layer), offset};
}

// [C, 1, taps] seen as [C, taps].
Tensor kernel_of(const Tensor& w) {
  return w.view({w.dim(0), w.dim(2)});
}

}  // namespace

Tensor causal_conv(Ctx& cx, const Tensor& x, const Weight& w, const AttnPlan& plan, int layer) {
  Dims("causal_conv").arg("x", x, "TC").arg(w.name, w.shape, "C1k");
  Tensor out = cx.alloc(x.shape());
  cx.backend.causal_conv(out, x, kernel_of(w.data), rows_of(cx, "causal_conv", plan, layer, 0));
  if (cx.tape != nullptr && (Tape::wants(x) || w.trainable))
    cx.tape->record(out, [x, &w, plan, tape = cx.tape](Ctx& c, const Tensor& dout) {
      const Tensor dx = c.alloc(x.shape());
      const Tensor dw = tape->weights().of(w);
      c.backend.causal_conv_backward(dx, dw.defined() ? kernel_of(dw) : dw, x, kernel_of(w.data), plan, dout);
      tape->accumulate(c, x, dx);
    });
  return out;
}

Tensor delta_decay(Ctx& cx, const Tensor& a, const Weight& a_log, const Weight& dt_bias) {
  Dims("delta_decay")
      .arg("a", a, "TH")
      .arg(a_log.name, a_log.shape, "H")
      .arg(dt_bias.name, dt_bias.shape, "H");
  Tensor g = cx.alloc(a.shape());
  cx.backend.delta_decay(g, a, a_log.data, dt_bias.data);
  if (cx.tape != nullptr && (Tape::wants(a) || a_log.trainable || dt_bias.trainable))
    cx.tape->record(g, [a, &a_log, &dt_bias, tape = cx.tape](Ctx& c, const Tensor& dg) {
      const Backend::DecayGrads grads{c.alloc(a.shape()), tape->weights().of(a_log),
                                      tape->weights().of(dt_bias)};
      c.backend.delta_decay_backward(grads, a, a_log.data, dt_bias.data, dg);
      tape->accumulate(c, a, grads.da);
    });
  return g;
}

Tensor gated_delta(Ctx& cx, const Tensor& qkv, const Tensor& g, const Tensor& beta, const DeltaShape& shape,
                   const AttnPlan& plan, int layer) {
  Dims d("gated_delta");
  d.arg("qkv", qkv, "TC").arg("g", g, "TH").arg("beta", beta, "TH");
  QW_CHECK(d['C'] == shape.channels() && d['H'] == shape.v_heads, "gated_delta: qkv {} for {} and {} heads",
           qkv.shape().str(), shape.k_heads, shape.v_heads);
  const bool chunked = plan.pool == nullptr;
  const DeltaArgs args{qkv, g, beta, shape.k_heads, shape.v_heads, shape.k_dim, shape.v_dim, chunked};
  Tensor out = cx.alloc({d['T'], shape.v_heads, shape.v_dim});
  cx.backend.gated_delta(out, args, rows_of(cx, "gated_delta", plan, layer, shape.conv_floats()));
  if (cx.tape != nullptr && (Tape::wants(qkv) || Tape::wants(g) || Tape::wants(beta)))
    cx.tape->record(out, [args, plan, tape = cx.tape](Ctx& c, const Tensor& dout) {
      const Backend::DeltaGrads grads{c.alloc(args.qkv.shape()), c.alloc(args.g.shape()),
                                      c.alloc(args.beta.shape())};
      c.backend.gated_delta_backward(grads, args, plan, dout);
      tape->accumulate(c, args.qkv, grads.dqkv);
      tape->accumulate(c, args.g, grads.dg);
      tape->accumulate(c, args.beta, grads.dbeta);
    });
  return out;
}

}  // namespace qw::ops
