#include "ops/sigmoid.h"

namespace qw::ops {

Tensor sigmoid(Ctx& cx, const Tensor& x) {
  Tensor out = cx.alloc(x.shape());
  cx.backend.sigmoid(out, x);
  if (cx.tape != nullptr && Tape::wants(x))
    cx.tape->record(out, [x, out, tape = cx.tape](Ctx& c, const Tensor& dout) {
      const Tensor dx = c.alloc(x.shape());
      c.backend.sigmoid_backward(dx, out, dout);
      tape->accumulate(c, x, dx);
    });
  return out;
}

Tensor sigmoid_mul(Ctx& cx, const Tensor& gate, const Tensor& x) {
  QW_CHECK(gate.shape() == x.shape(), "sigmoid_mul: gate {} and x {}", gate.shape().str(), x.shape().str());
  Tensor out = cx.alloc(x.shape());
  cx.backend.sigmoid_mul(out, gate, x);
  if (cx.tape != nullptr && (Tape::wants(gate) || Tape::wants(x)))
    cx.tape->record(out, [gate, x, tape = cx.tape](Ctx& c, const Tensor& dout) {
      const Tensor dgate = c.alloc(gate.shape());
      const Tensor dx = c.alloc(x.shape());
      c.backend.sigmoid_mul_backward(dgate, dx, gate, x, dout);
      tape->accumulate(c, gate, dgate);
      tape->accumulate(c, x, dx);
    });
  return out;
}

}  // namespace qw::ops
