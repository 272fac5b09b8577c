#include "ops/linear.h"

#include "ops/dims.h"

namespace qw::ops {
namespace {

// The adapters of one weight that this batch uses, with x · Aᵀ kept for the way back.
struct LoraUse {
  AdapterRange range;
  const Lora* lora;
  Tensor xa;  // [rows, r]
};

std::vector<LoraUse> lora_uses(const Ctx& cx, const Weight& w) {
  std::vector<LoraUse> uses;
  if (cx.adapters == nullptr) return uses;
  for (const AdapterRange& range : *cx.adapters)
    if (const Lora* lora = range.set->find(w.name); lora != nullptr && range.end > range.begin)
      uses.push_back({range, lora, {}});
  return uses;
}

Tensor rows_of(const Tensor& t, const AdapterRange& r) {
  return t.slice(0, r.begin, r.end - r.begin);
}

void add_lora(Ctx& cx, const Tensor& out, const Tensor& x, LoraUse& use) {
  const Lora& l = *use.lora;
  Dims d("linear with an adapter");
  d.arg("x", x, "TK").arg("out", out, "TN").arg(l.a.name, l.a.shape, "rK").arg(l.b.name, l.b.shape, "Nr");
  const Tensor part = rows_of(out, use.range);
  use.xa = cx.alloc({part.dim(0), d['r']});
  cx.backend.linear(use.xa, rows_of(x, use.range), l.a, {});
  const Tensor delta = cx.alloc(part.shape());
  cx.backend.linear(delta, use.xa, l.b, {});
  cx.backend.axpy(part, l.scale, delta);
}

// dx (may be undefined) += scale · (dout · B) · A; dA and dB into the weight gradients.
void lora_backward(Ctx& cx, Gradients& weights, const LoraUse& use, const Tensor& x, const Tensor& dout,
                   const Tensor& dx) {
  const Lora& l = *use.lora;
  const Tensor dpart = rows_of(dout, use.range);
  const Tensor scaled = cx.alloc(dpart.shape());
  cx.backend.scale(scaled, dpart, l.scale);
  if (const Tensor db = weights.of(l.b); db.defined()) cx.backend.linear_dw(db, scaled, use.xa);
  const Tensor dxa = cx.alloc(use.xa.shape());
  cx.backend.linear_dx(dxa, scaled, l.b);
  const Tensor x_rows = rows_of(x, use.range);
  if (const Tensor da = weights.of(l.a); da.defined()) cx.backend.linear_dw(da, dxa, x_rows);
  if (!dx.defined()) return;
  const Tensor through_a = cx.alloc(x_rows.shape());
  cx.backend.linear_dx(through_a, dxa, l.a);
  cx.backend.axpy(rows_of(dx, use.range), 1.0, through_a);
}

}  // namespace

Tensor linear(Ctx& cx, const Tensor& x, const Weight& w, const Weight* bias) {
  Dims d("linear");
  d.arg("x", x, "TK").arg(w.name, w.shape, "NK");
  if (bias != nullptr) d.arg(bias->name, bias->shape, "N");
  Tensor out = cx.alloc({d['T'], d['N']});
  cx.backend.linear(out, x, w, bias != nullptr ? bias->data : Tensor());
  std::vector<LoraUse> uses = lora_uses(cx, w);
  for (LoraUse& use : uses) add_lora(cx, out, x, use);

  bool trains = w.trainable || (bias != nullptr && bias->trainable);
  for (const LoraUse& use : uses) trains = trains || use.lora->a.trainable || use.lora->b.trainable;
  if (cx.tape == nullptr || !(Tape::wants(x) || trains)) return out;
  QW_CHECK(!w.trainable || traits(w.format).is_float, "linear: {} is {} and cannot be trained", w.name,
           traits(w.format).name);
  cx.tape->record(out, [x, &w, bias, uses = std::move(uses), tape = cx.tape](Ctx& c, const Tensor& dout) {
    Tensor dx;
    if (Tape::wants(x)) {
      dx = c.alloc(x.shape());
      c.backend.linear_dx(dx, dout, w);
    }
    for (const LoraUse& use : uses) lora_backward(c, tape->weights(), use, x, dout, dx);
    if (dx.defined()) tape->accumulate(c, x, dx);
    if (const Tensor dw = tape->weights().of(w); dw.defined()) c.backend.linear_dw(dw, dout, x);
    if (bias == nullptr) return;
    if (const Tensor db = tape->weights().of(*bias); db.defined()) c.backend.sum_rows(db, dout);
  });
  return out;
}

}  // namespace qw::ops
