#include "ops/rope.h"

#include "ops/dims.h"

namespace qw::ops {

Tensor rope_table(Ctx& cx, const Tensor& positions, const RopeSpec& spec) {
  Dims("rope_table").arg("positions", positions, "T");
  const Tensor table = cx.alloc({positions.dim(0), static_cast<int64_t>(spec.inv_freq.size()), 2});
  cx.backend.rope_table(table, positions, cx.arena.upload_real(spec.inv_freq), spec.scale);
  return table;
}

Tensor rope_table(Ctx& cx, const Tensor& positions, std::span<const RopePart> parts) {
  Dims("rope_table").arg("positions", positions, "T");
  QW_CHECK(!parts.empty() && parts.back().end == positions.dim(0), "rope_table: rows without a part");
  const auto pairs = static_cast<int64_t>(parts[0].spec->inv_freq.size());
  const Tensor table = cx.alloc({positions.dim(0), pairs, 2});
  const RopeSpec* uploaded = nullptr;
  Tensor frequencies;
  int64_t done = 0;
  for (const RopePart& part : parts) {
    QW_CHECK(part.begin == done && part.end > done, "rope_table: part {} … {} behind row {}", part.begin,
             part.end, done);
    done = part.end;
    if (part.spec != uploaded) {
      frequencies = cx.arena.upload_real(part.spec->inv_freq);
      uploaded = part.spec;
    }
    const int64_t n = part.end - part.begin;
    cx.backend.rope_table(table.slice(0, part.begin, n), positions.slice(0, part.begin, n), frequencies,
                          part.spec->scale * part.scale);
  }
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
