// RMSNorm over the last dimension (Zhang & Sennrich 2019). Test: tests/ops/ops_test.cc
#pragma once

#include "core/tape.h"
#include "core/weight.h"

namespace qw::ops {

// x [..., D], w [D] → x / sqrt(mean(x²) + eps) · (centre + w). Qwen3-Next and later store w − 1: centre 1.
Tensor rms_norm(Ctx& cx, const Tensor& x, const Weight& w, double eps, double centre = 0.0);

}  // namespace qw::ops
