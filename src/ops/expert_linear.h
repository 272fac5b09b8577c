// Every grouped row times the weight of its expert, in any stored format. Test: tests/nn/moe_test.cc
#pragma once

#include "core/weight.h"
#include "ops/route.h"

namespace qw::ops {

// x [R, K], grouped as `routing` says; w: the experts' weights, [N, K] each → [R, N]. Adapters as in linear,
// by the rows of the batch. Experts without rows are not touched; where they learn their gradient is zero.
Tensor expert_linear(Ctx& cx, const Tensor& x, const Routing& routing, std::span<const Weight> w);

// Σ over the experts of a row, weighted, in the order of their probability: y [R, D] → [T, D].
Tensor combine_experts(Ctx& cx, const Tensor& y, const Routing& routing);

}  // namespace qw::ops
