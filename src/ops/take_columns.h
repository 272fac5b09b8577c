// Columns of a fused projection put apart. Test: tests/ops/recurrent_test.cc
#pragma once

#include <vector>

#include "core/tape.h"

namespace qw::ops {

// Columns [begin, begin + width) of every head.
struct ColumnRange {
  int64_t begin = 0, width = 0;
};

// x [T, H · W], where every head holds several things side by side → [T, H · Σ width]: the first range of all
// heads, then the second range of all heads, and so on.
Tensor take_columns(Ctx& cx, const Tensor& x, int heads, std::vector<ColumnRange> ranges);

}  // namespace qw::ops
