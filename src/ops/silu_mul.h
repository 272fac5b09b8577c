// silu(gate) · up, the middle of a gated MLP (Shazeer 2020). Test: tests/ops/ops_test.cc
#pragma once

#include "core/tape.h"

namespace qw::ops {

// gate, up [T, F] → [T, F].
Tensor silu_mul(Ctx& cx, const Tensor& gate, const Tensor& up);

}  // namespace qw::ops
