#include "ops/linear.h"

#include "base/rng.h"
#include "ops/dims.h"

namespace qw::ops {
namespace {

// The adapters of one weight that this batch uses, with what the way back needs.
struct LoraUse {
  AdapterRange range;
  const Lora* lora;
  double dropout = 0.0;
  uint64_t key = 0;  // of the dropout
  Tensor x, xa;      // [rows, K] behind the dropout, [rows, r]
};

std::vector<LoraUse> lora_uses(const Ctx& cx, const Weight& w) {
  std::vector<LoraUse> uses;
  if (cx.adapters == nullptr) return uses;
  for (const AdapterRange& range : *cx.adapters)
    if (const Lora* lora = range.set->find(w.name); lora != nullptr && range.end > range.begin)
      uses.push_back({range,
                      lora,
                      cx.tape != nullptr ? cx.adapter_dropout.p : 0.0,
                      name_key(w.name, cx.adapter_dropout.key),
                      {},
                      {}});
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
  const Arena::Mark before = cx.arena.mark();
  use.xa = cx.alloc({part.dim(0), d['r']});
  use.x = rows_of(x, use.range);
  if (use.dropout > 0) {
    const Tensor dropped = cx.alloc(use.x.shape());
    cx.backend.dropout(dropped, use.x, use.dropout, use.key);
    use.x = dropped;
  }
  cx.backend.linear(use.xa, use.x, l.a, {});
  const Arena::Mark kept = cx.arena.mark();
  const Tensor delta = cx.alloc(part.shape());
  cx.backend.linear(delta, use.xa, l.b, {});
  cx.backend.axpy(part, l.scale, delta);
  cx.arena.rewind(cx.tape != nullptr ? kept : before);  // the way back wants x · Aᵀ
}

// dx (may be undefined) += scale · (dout · B) · A; dA and dB into the weight gradients.
void lora_backward(Ctx& cx, Gradients& weights, const LoraUse& use, const Tensor& dout, const Tensor& dx) {
  const Lora& l = *use.lora;
  const Tensor dpart = rows_of(dout, use.range);
  const Tensor scaled = cx.alloc(dpart.shape());
  cx.backend.scale(scaled, dpart, l.scale);
  if (const Tensor db = weights.of(l.b); db.defined()) cx.backend.linear_dw(db, scaled, use.xa);
  const Tensor dxa = cx.alloc(use.xa.shape());
  cx.backend.linear_dx(dxa, scaled, l.b);
  if (const Tensor da = weights.of(l.a); da.defined()) cx.backend.linear_dw(da, dxa, use.x);
  if (!dx.defined()) return;
  const Tensor through_a = cx.alloc(use.x.shape());
  cx.backend.linear_dx(through_a, dxa, l.a);
  if (use.dropout > 0) cx.backend.dropout(through_a, through_a, use.dropout, use.key);
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
    for (const LoraUse& use : uses) lora_backward(c, tape->weights(), use, dout, dx);
    if (dx.defined()) tape->accumulate(c, x, dx);
    if (const Tensor dw = tape->weights().of(w); dw.defined()) c.backend.linear_dw(dw, dout, x);
    if (bias == nullptr) return;
    if (const Tensor db = tape->weights().of(*bias); db.defined()) c.backend.sum_rows(db, dout);
  });
  return out;
}

}  // namespace qw::ops
