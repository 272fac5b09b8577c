// x · wᵀ (+ bias), with the weight in any stored format. Test: tests/ops/ops_test.cc
#pragma once

#include "core/tape.h"
#include "core/weight.h"

namespace qw::ops {

// x [T, K], w [N, K], bias [N] or null → [T, N]. Backward: dx through the (dequantising) product; dw and db
// only for trainable weights, which must be of a float format.
Tensor linear(Ctx& cx, const Tensor& x, const Weight& w, const Weight* bias = nullptr);

}  // namespace qw::ops
