// a + b, equal shapes. Test: tests/ops/ops_test.cc
#pragma once

#include "core/tape.h"

namespace qw::ops {

Tensor add(Ctx& cx, const Tensor& a, const Tensor& b);

}  // namespace qw::ops
