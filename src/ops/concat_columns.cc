#include "ops/concat_columns.h"

#include "ops/dims.h"

namespace qw::ops {

Tensor concat_columns(Ctx& cx, const Tensor& a, const Tensor& b) {
  Dims d("concat_columns");
  d.arg("a", a, "TA").arg("b", b, "TB");
  Tensor out = cx.alloc({d['T'], d['A'] + d['B']});
  cx.backend.copy(out.slice(1, 0, d['A']), a);
  cx.backend.copy(out.slice(1, d['A'], d['B']), b);
  if (cx.tape != nullptr && (Tape::wants(a) || Tape::wants(b)))
    cx.tape->record(out, [a, b, tape = cx.tape](Ctx& c, const Tensor& dout) {
      int64_t column = 0;
      for (const Tensor& in : {a, b}) {
        const Tensor dx = c.alloc(in.shape());
        c.backend.copy(dx, dout.slice(1, column, in.dim(1)));
        tape->accumulate(c, in, dx);
        column += in.dim(1);
      }
    });
  return out;
}

}  // namespace qw::ops
