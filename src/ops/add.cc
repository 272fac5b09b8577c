#include "ops/add.h"

namespace qw::ops {

Tensor add(Ctx& cx, const Tensor& a, const Tensor& b) {
  QW_CHECK(a.shape() == b.shape(), "add: {} and {}", a.shape().str(), b.shape().str());
  Tensor out = cx.alloc(a.shape());
  cx.backend.add(out, a, b);
  if (cx.tape != nullptr && (Tape::wants(a) || Tape::wants(b)))
    cx.tape->record(out, [a, b, tape = cx.tape](Ctx& c, const Tensor& dout) {
      tape->accumulate(c, a, dout);
      tape->accumulate(c, b, dout);
    });
  return out;
}

}  // namespace qw::ops
