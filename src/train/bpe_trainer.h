// Byte-level BPE learnt from counted words (Sennrich et al. 2016): the most frequent pair of neighbours
// becomes a token, again and again. Of equally frequent pairs the one whose left id is lower goes first, then
// the one whose right id is lower, as HF `tokenizers` (models/bpe/trainer.rs) has it; so the merges are those
// of its BpeTrainer, and they depend on neither the order of the words nor the threads that counted them.
// Test: tests/train/tokenizer_trainer_test.cc
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "train/word_counts.h"

namespace qw::train {

struct BpeTrainOptions {
  int vocab = 0;          // tokens, of which 256 are the bytes; fewer where the words have no more pairs
  int64_t min_count = 2;  // a pair that is rarer makes no token
  std::function<void(int64_t done, int64_t total)> progress{};  // in tokens
};

struct TrainedBpe {
  std::vector<std::string> tokens;  // the bytes of each id; first the bytes themselves, in the
                                    // order of the byte alphabet's characters
  std::vector<std::pair<int32_t, int32_t>> merges;  // by rank
  int64_t n_tokens = 0;                             // of the counted words, with this vocabulary
};

// Errors: tokenizer.too_large (more than 4 GiB of different words).
Result<TrainedBpe> train_bpe(const WordCounts& words, const BpeTrainOptions& options);

}  // namespace qw::train
