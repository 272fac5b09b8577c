// RMSNorm over the last dimension (Zhang & Sennrich 2019). Test: tests/ops/ops_test.cc
#pragma once

#include "core/tape.h"
#include "core/weight.h"

namespace qw::ops {

// x [..., D], w [D] → x / sqrt(mean(x²) + eps) · w.
Tensor rms_norm(Ctx& cx, const Tensor& x, const Weight& w, double eps);

}  // namespace qw::ops
