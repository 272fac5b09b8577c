// Which documents a step sees, in which order. The place in the data is two numbers, so that a run resumes
// where it stopped. Test: tests/train/data_test.cc
#pragma once

#include <cstdint>
#include <vector>

#include "core/batch.h"
#include "train/config.h"
#include "train/dataset.h"

namespace qw::train {

struct DataPlace {
  int64_t epoch = 0;
  int64_t index = 0;  // samples of this epoch that were taken
  friend bool operator==(const DataPlace&, const DataPlace&) = default;
};

// Hands out samples: in file order, or shuffled anew each epoch by (seed, epoch).
class SampleOrder {
 public:
  SampleOrder(const Dataset& data, const TrainConfig& config);

  // The samples of the next micro-step. Without packing batch_size of them. With it as many, in order, as
  // make no more than batch_size · seq_len tokens (at least one); dpo counts samples always, and so does
  // distillation on-policy, whose prompts say nothing of how long they become. A micro-step may take from two
  // epochs.
  std::vector<int64_t> next();
  // The samples of the largest micro-step that some order may bring: the longest ones, where tokens are
  // counted as many as fit. Few samples go around, as they do in next().
  std::vector<int64_t> largest() const;
  DataPlace place() const { return place_; }
  void go_to(const DataPlace& place);
  // Steps that `epochs` rounds make, the last one perhaps short of samples of its own and filled from the
  // next round.
  int64_t steps_in(double epochs);

 private:
  int64_t peek();
  // Whether a micro-step of `taken` has room for one more, with which it has so many tokens.
  bool fits(const std::vector<int64_t>& taken, int64_t tokens) const;

  const Dataset& data_;
  const bool shuffle_, by_tokens_;
  const int64_t batch_, budget_;
  const int grad_accum_;
  const uint64_t seed_;
  DataPlace place_;
  int64_t shuffled_epoch_ = -1;
  std::vector<int64_t> order_;  // of shuffled_epoch_
};

// Documents as one ragged batch in which each attends to itself alone. `targets` has one entry for each of
// batch.logit_rows: the rows before a token that counts.
struct MicroBatch {
  Batch batch;
  std::vector<int32_t> targets;
  std::vector<int32_t> rows_of;  // [documents + 1]: targets of document i are rows_of[i] … rows_of[i + 1] − 1
};
MicroBatch make_micro_batch(const Dataset& data, const std::vector<Document>& documents);
MicroBatch make_micro_batch(const Dataset& data, const std::vector<int64_t>& samples);

}  // namespace qw::train
