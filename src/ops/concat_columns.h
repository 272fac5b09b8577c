// Two matrices side by side. Test: tests/ops/recurrent_test.cc
#pragma once

#include "core/tape.h"

namespace qw::ops {

// a [T, A], b [T, B] → [T, A + B].
Tensor concat_columns(Ctx& cx, const Tensor& a, const Tensor& b);

}  // namespace qw::ops
