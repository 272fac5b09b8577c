// Which experts every row goes to (Shazeer et al. 2017, as Qwen2-MoE has it): softmax over all experts in
// f32, the k largest, ties to the lower index. Test: tests/nn/moe_test.cc
#pragma once

#include <memory>
#include <vector>

#include "core/tape.h"

namespace qw::ops {

// The T · k pairs of a row and one of its experts, grouped by expert; the rows of an expert keep the order of
// the batch, so that ranges of rows (adapters) stay ranges. R = T · k.
struct RowGroups {
  std::vector<int32_t> rows;     // [R] row of the batch of each grouped row
  std::vector<int32_t> offsets;  // [E + 1]: expert e has grouped rows offsets[e] … offsets[e+1] − 1
};

struct Routing {
  Tensor weights;  // [T, k]
  Tensor rows;     // i32 [R], RowGroups::rows on the device
  Tensor places;   // i32 [T, k]: the grouped row of each pair
  std::shared_ptr<const RowGroups> groups;
};

// logits [T, E], 1 ≤ top_k ≤ E; `normalise`: the weights of a row sum to 1. Waits for the device: the host
// groups the rows.
Routing route(Ctx& cx, const Tensor& logits, int top_k, bool normalise);

}  // namespace qw::ops
