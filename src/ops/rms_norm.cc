#include "ops/rms_norm.h"

namespace qw::ops {

Tensor rms_norm(Ctx& cx, const Tensor& x, const Weight& w, double eps, double centre) {
  QW_CHECK(w.shape.rank() == 1 && x.rank() >= 1 && x.dim(-1) == w.shape[0],
           "rms_norm: {} is {}, the rows of x are {}", w.name, w.shape.str(), x.shape().str());
  Tensor factor = w.data;
  if (centre != 0.0) {
    factor = cx.alloc(w.shape);
    cx.backend.fill(factor, centre);
    cx.backend.add(factor, factor, w.data);
  }
  Tensor out = cx.alloc(x.shape());
  cx.backend.rms_norm(out, x, factor, eps);
  if (cx.tape != nullptr && (Tape::wants(x) || w.trainable))
    cx.tape->record(out, [x, &w, factor, eps, tape = cx.tape](Ctx& c, const Tensor& dout) {
      const Tensor dx = c.alloc(x.shape());
      c.backend.rms_norm_backward(dx, tape->weights().of(w), x, factor, eps, dout);
      tape->accumulate(c, x, dx);
    });
  return out;
}

}  // namespace qw::ops
