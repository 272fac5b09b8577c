// A part of the columns of every row: what a fused projection holds side by side. Test:
// tests/ops/columns_test.cc
#pragma once

#include "core/tape.h"

namespace qw::ops {

// x [T, D] → [T, width], columns begin … begin + width − 1, contiguous.
Tensor columns(Ctx& cx, const Tensor& x, int64_t begin, int64_t width);

}  // namespace qw::ops
