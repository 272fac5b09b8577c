#include "ops/lora.h"

#include "base/rng.h"
#include "ops/dims.h"

namespace qw::ops {
namespace {

Tensor rows_of(const Tensor& t, const AdapterRange& r) {
  return t.slice(0, r.begin, r.end - r.begin);
}

}  // namespace

void find_loras(const Ctx& cx, const AdapterMap& map, const Weight& w, std::vector<LoraUse>& uses) {
  for (const AdapterRange& range : map)
    if (const Lora* lora = range.set->find(w.name); lora != nullptr && range.end > range.begin)
      uses.push_back({range,
                      lora,
                      cx.tape != nullptr ? cx.adapter_dropout.p : 0.0,
                      name_key(w.name, cx.adapter_dropout.key),
                      {},
                      {}});
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

}  // namespace qw::ops
