#include "ops/silu_mul.h"

#include "ops/dims.h"

namespace qw::ops {

Tensor silu_mul(Ctx& cx, const Tensor& gate, const Tensor& up) {
  Dims("silu_mul").arg("gate", gate, "TF").arg("up", up, "TF");
  Tensor out = cx.alloc(gate.shape());
  cx.backend.silu_mul(out, gate, up);
  if (cx.tape != nullptr && (Tape::wants(gate) || Tape::wants(up)))
    cx.tape->record(out, [gate, up, tape = cx.tape](Ctx& c, const Tensor& dout) {
      const Tensor dgate = c.alloc(gate.shape());
      const Tensor dup = c.alloc(up.shape());
      c.backend.silu_mul_backward(dgate, dup, gate, up, dout);
      tape->accumulate(c, gate, dgate);
      tape->accumulate(c, up, dup);
    });
  return out;
}

}  // namespace qw::ops
