#include "ops/rope.h"

#include "ops/dims.h"

namespace qw::ops {

Tensor rope_table(Ctx& cx, const Tensor& positions, const RopeSpec& spec) {
  Dims("rope_table").arg("positions", positions, "T");
  const Tensor table = cx.alloc({positions.dim(0), static_cast<int64_t>(spec.inv_freq.size()), 2});
  cx.backend.rope_table(table, positions, cx.arena.upload_real(spec.inv_freq), spec.scale);
  return table;
}

namespace {

Tensor rope_to(Ctx& cx, Tensor out, const Tensor& x, const Tensor& table) {
  Dims d("rope");
  d.arg("x", x, "THd").arg("table", table, "Tr2");
  QW_CHECK(2 * d['r'] <= d['d'], "rope: {} rotated dimensions of {}", 2 * d['r'], d['d']);
  cx.backend.rope(out, x, table, false);
  if (cx.tape != nullptr && Tape::wants(x))
    cx.tape->record(out, [x, table, tape = cx.tape](Ctx& c, const Tensor& dout) {
      const Tensor dx = c.alloc(x.shape());
      c.backend.rope(dx, dout, table, true);
      tape->accumulate(c, x, dx);
    });
  return out;
}

}  // namespace

Tensor rope(Ctx& cx, const Tensor& x, const Tensor& table) {
  return rope_to(cx, cx.alloc(x.shape()), x, table);
}

Tensor rope_over(Ctx& cx, const Tensor& x, const Tensor& table) {
  Tensor out = x;
  out.set_tape_id(kConstant);
  return rope_to(cx, out, x, table);
}

}  // namespace qw::ops
