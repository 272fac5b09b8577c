// Mean cross-entropy of next-token targets. Test: tests/ops/ops_test.cc
#pragma once

#include <vector>

#include "core/tape.h"

namespace qw::ops {

// logits [T, V]; targets of each row, negative: the row does not count. Returns [1]: Σ over counted rows of
// (logsumexp(logits) − logits[target]) · weight. The caller chooses the weight, usually 1 / (number of
// targets of the whole step).
Tensor cross_entropy(Ctx& cx, const Tensor& logits, const std::vector<int32_t>& targets, double weight);

}  // namespace qw::ops
