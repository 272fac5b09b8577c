#include "ops/columns.h"

#include "ops/dims.h"

namespace qw::ops {

Tensor columns(Ctx& cx, const Tensor& x, int64_t begin, int64_t width) {
  Dims d("columns");
  d.arg("x", x, "TD");
  QW_CHECK(begin >= 0 && width > 0 && begin + width <= d['D'], "columns: {} from {} of {}", width, begin,
           d['D']);
  Tensor out = cx.alloc({d['T'], width});
  cx.backend.copy(out, x.slice(1, begin, width));
  if (cx.tape != nullptr && Tape::wants(x))
    cx.tape->record(out, [x, begin, width, tape = cx.tape](Ctx& c, const Tensor& dout) {
      const Tensor dx = c.alloc(x.shape());
      c.backend.fill(dx, 0.0);
      c.backend.copy(dx.slice(1, begin, width), dout);
      tape->accumulate(c, x, dx);
    });
  return out;
}

}  // namespace qw::ops
