#include "ops/add.h"

namespace qw::ops {

namespace {

Tensor add_to(Ctx& cx, Tensor out, const Tensor& a, const Tensor& b) {
  QW_CHECK(a.shape() == b.shape(), "add: {} and {}", a.shape().str(), b.shape().str());
  cx.backend.add(out, a, b);
  if (cx.tape != nullptr && (Tape::wants(a) || Tape::wants(b)))
    cx.tape->record(out, [a, b, tape = cx.tape](Ctx& c, const Tensor& dout) {
      tape->accumulate(c, a, dout);
      tape->accumulate(c, b, dout);
    });
  return out;
}

}  // namespace

Tensor add(Ctx& cx, const Tensor& a, const Tensor& b) {
  return add_to(cx, cx.alloc(a.shape()), a, b);
}

Tensor add_over(Ctx& cx, const Tensor& a, const Tensor& b) {
  Tensor out = b;
  out.set_tape_id(kConstant);
  return add_to(cx, out, a, b);
}

}  // namespace qw::ops
