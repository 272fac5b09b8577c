#include "ops/gather_rows.h"

#include "ops/dims.h"

namespace qw::ops {

Tensor gather_rows(Ctx& cx, const Tensor& x, const Tensor& rows) {
  Dims d("gather_rows");
  d.arg("x", x, "TD").arg("rows", rows, "R");
  Tensor out = cx.alloc({d['R'], d['D']});
  cx.backend.gather_rows(out, x, rows);
  if (cx.tape != nullptr && Tape::wants(x))
    cx.tape->record(out, [x, rows, tape = cx.tape](Ctx& c, const Tensor& dout) {
      const Tensor dx = c.alloc(x.shape());
      c.backend.fill(dx, 0.0);
      c.backend.scatter_add_rows(dx, rows, dout);
      tape->accumulate(c, x, dx);
    });
  return out;
}

}  // namespace qw::ops
