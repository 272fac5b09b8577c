// The head and the loss together, in chunks of rows: logits [R, V] of a training step are the largest tensor
// there is, and are never whole in memory. Test: tests/ops/head_loss_test.cc
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/tape.h"

namespace qw::ops {

// What a chunk of rows costs. `logits` [n, V] are those of rows first … first + n − 1; writes their losses to
// `loss` [n] and, where `dlogits` [n, V] is defined, the gradient of Σ weight(row) · loss(row).
using RowLoss =
    std::function<void(Ctx&, const Tensor& logits, int64_t first, const Tensor& loss, const Tensor& dlogits)>;

// Loss of every row, [R], host order, of features [R, D] under `head` [V, D]. With a tape (and features or
// head that learn) the gradient of the weighted sum is sent back through `features` at once: head gradients
// are added and everything the tape holds runs backwards. Without one, losses alone.
std::vector<double> head_loss(Ctx& cx, const Tensor& features, const Weight& head, const RowLoss& row_loss);

// −log softmax(logits)[target], weighed row by row; a target below 0 costs nothing.
RowLoss cross_entropy_rows(std::span<const int32_t> targets, std::span<const float> weights);

// Rows that are computed at once for a vocabulary of this size: 32 MB of logits.
int64_t head_chunk_rows(int64_t vocab);

}  // namespace qw::ops
