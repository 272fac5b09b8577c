// Rows scaled by the sigmoid of a number each: the gate of a shared expert (Qwen2-MoE). Test:
// tests/nn/moe_test.cc
#pragma once

#include "core/tape.h"

namespace qw::ops {

// sigmoid(gate) · x; x [T, D], gate [T, 1] → [T, D].
Tensor gate_rows(Ctx& cx, const Tensor& x, const Tensor& gate);

}  // namespace qw::ops
