#include "ops/gate_rows.h"

#include "ops/dims.h"

namespace qw::ops {

Tensor gate_rows(Ctx& cx, const Tensor& x, const Tensor& gate) {
  Dims("gate_rows").arg("x", x, "TD").arg("gate", gate, "T1");
  Tensor out = cx.alloc(x.shape());
  cx.backend.gate_rows(out, x, gate);
  if (cx.tape != nullptr && (Tape::wants(x) || Tape::wants(gate)))
    cx.tape->record(out, [x, gate, tape = cx.tape](Ctx& c, const Tensor& dout) {
      const Tensor dx = c.alloc(x.shape()), dgate = c.alloc(gate.shape());
      c.backend.gate_rows_backward(dx, dgate, x, gate, dout);
      tape->accumulate(c, x, dx);
      tape->accumulate(c, gate, dgate);
    });
  return out;
}

}  // namespace qw::ops
