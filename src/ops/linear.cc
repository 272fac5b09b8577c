#include "ops/linear.h"

#include "ops/dims.h"

namespace qw::ops {

Tensor linear(Ctx& cx, const Tensor& x, const Weight& w, const Weight* bias) {
  Dims d("linear");
  d.arg("x", x, "TK").arg(w.name, w.shape, "NK");
  if (bias != nullptr) d.arg(bias->name, bias->shape, "N");
  Tensor out = cx.alloc({d['T'], d['N']});
  cx.backend.linear(out, x, w, bias != nullptr ? bias->data : Tensor());
  const bool trains = w.trainable || (bias != nullptr && bias->trainable);
  if (cx.tape == nullptr || !(Tape::wants(x) || trains)) return out;
  QW_CHECK(!w.trainable || traits(w.format).is_float, "linear: {} is {} and cannot be trained", w.name,
           traits(w.format).name);
  cx.tape->record(out, [x, &w, bias, tape = cx.tape](Ctx& c, const Tensor& dout) {
    if (Tape::wants(x)) {
      const Tensor dx = c.alloc(x.shape());
      c.backend.linear_dx(dx, dout, w);
      tape->accumulate(c, x, dx);
    }
    if (const Tensor dw = tape->weights().of(w); dw.defined()) c.backend.linear_dw(dw, dout, x);
    if (bias == nullptr) return;
    if (const Tensor db = tape->weights().of(*bias); db.defined()) c.backend.sum_rows(db, dout);
  });
  return out;
}

}  // namespace qw::ops
