// Chosen rows of a matrix: the positions whose logits are wanted. Test: tests/ops/ops_test.cc
#pragma once

#include "core/tape.h"

namespace qw::ops {

// x [T, D], rows i32 [R], each in [0, T) → [R, D].
Tensor gather_rows(Ctx& cx, const Tensor& x, const Tensor& rows);

}  // namespace qw::ops
