// The logistic function, alone and as a gate. Test: tests/ops/recurrent_test.cc
#pragma once

#include "core/tape.h"

namespace qw::ops {

// 1 / (1 + e^−x), any shape.
Tensor sigmoid(Ctx& cx, const Tensor& x);
// sigmoid(gate) · x, equal shapes.
Tensor sigmoid_mul(Ctx& cx, const Tensor& gate, const Tensor& x);

}  // namespace qw::ops
