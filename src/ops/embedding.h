// Rows of a table by token id, dequantised. Test: tests/ops/ops_test.cc
#pragma once

#include "core/tape.h"
#include "core/weight.h"

namespace qw::ops {

// ids i32 [T], each in [0, V); w [V, D] → [T, D].
Tensor embedding(Ctx& cx, const Tensor& ids, const Weight& w);

}  // namespace qw::ops
