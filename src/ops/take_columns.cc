#include "ops/take_columns.h"

#include "ops/dims.h"

namespace qw::ops {
namespace {

// fn(part of the fused tensor, part of the taken one), equal shapes.
template <class Fn>
void for_parts(const Tensor& fused, const Tensor& taken, int heads, const std::vector<ColumnRange>& ranges,
               Fn fn) {
  const int64_t rows = fused.dim(0), width = fused.dim(1) / heads;
  if (ranges.size() == 1) {
    fn(fused.view({rows, heads, width}).slice(2, ranges[0].begin, ranges[0].width),
       taken.view({rows, heads, ranges[0].width}));
    return;
  }
  int64_t column = 0;
  for (const ColumnRange& r : ranges)
    for (int h = 0; h < heads; ++h, column += r.width)
      fn(fused.slice(1, h * width + r.begin, r.width), taken.slice(1, column, r.width));
}

}  // namespace

Tensor take_columns(Ctx& cx, const Tensor& x, int heads, std::vector<ColumnRange> ranges) {
  Dims("take_columns").arg("x", x, "TN");
  QW_CHECK(x.dim(1) % heads == 0, "take_columns: {} columns of {} heads", x.dim(1), heads);
  int64_t width = 0;
  for (const ColumnRange& r : ranges) width += r.width;
  Tensor in = x;
  in.set_tape_id(kConstant);
  Tensor out = cx.alloc({x.dim(0), heads * width});
  for_parts(in, out, heads, ranges, [&](const Tensor& from, const Tensor& to) { cx.backend.copy(to, from); });
  if (cx.tape != nullptr && Tape::wants(x))
    cx.tape->record(out, [x, heads, ranges = std::move(ranges), tape = cx.tape](Ctx& c, const Tensor& dout) {
      const Tensor dx = c.alloc(x.shape());
      c.backend.fill(dx, 0.0);
      for_parts(dx, dout, heads, ranges,
                [&](const Tensor& to, const Tensor& from) { c.backend.copy(to, from); });
      tape->accumulate(c, x, dx);
    });
  return out;
}

}  // namespace qw::ops
