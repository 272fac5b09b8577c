// a + b, equal shapes. Test: tests/ops/ops_test.cc
#pragma once

#include "core/tape.h"

namespace qw::ops {

Tensor add(Ctx& cx, const Tensor& a, const Tensor& b);

// The same, written over b: an activation that nobody reads again, backwards of its maker included (a product
// does not need its result). Training keeps every activation, so each one less is T rows of every layer.
Tensor add_over(Ctx& cx, const Tensor& a, const Tensor& b);

}  // namespace qw::ops
