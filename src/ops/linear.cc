#include "ops/linear.h"

#include <algorithm>

#include "ops/dims.h"
#include "ops/lora.h"

namespace qw::ops {

Tensor linear(Ctx& cx, const Tensor& x, const Weight& w, const Weight* bias) {
  Dims d("linear");
  d.arg("x", x, "TK").arg(w.name, w.shape, "NK");
  if (bias != nullptr) d.arg(bias->name, bias->shape, "N");
  if (cx.inputs != nullptr) (*cx.inputs)(w, x);
  Tensor out = cx.alloc({d['T'], d['N']});
  cx.backend.linear(out, x, w, bias != nullptr ? bias->data : Tensor());
  std::vector<LoraUse> uses;
  if (cx.adapters != nullptr) find_loras(cx, *cx.adapters, w, uses);
  for (LoraUse& use : uses) add_lora(cx, out, x, use);

  const bool learns =
      w.trainable || (bias != nullptr && bias->trainable) || std::any_of(uses.begin(), uses.end(), trains);
  if (cx.tape == nullptr || !(Tape::wants(x) || learns)) return out;
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
