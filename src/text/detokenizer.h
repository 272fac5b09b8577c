// Detokenizer: token ids of one sequence to text, piece by piece. What is given out is whole characters only,
// and all of it together is Tokenizer::decode of all ids, whatever bytes they make. Test:
// tests/text/detokenizer_test.cc
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace qw {

class Detokenizer {
 public:
  // `keep`: special tokens that are given out although `skip_special` (tags that an OutputParser looks for).
  explicit Detokenizer(Tokenizer tokenizer, bool skip_special, std::vector<int32_t> keep = {})
      : tokenizer_(std::move(tokenizer)), keep_(std::move(keep)), skip_special_(skip_special) {}

  // The text that became certain with this id, perhaps none: valid UTF-8.
  std::string push(int32_t id);

  // The rest, at the end of the sequence: U+FFFD for a character that never became whole. Ready for a new
  // sequence then.
  std::string flush();

 private:
  Tokenizer tokenizer_;
  std::vector<int32_t> keep_;
  bool skip_special_;
  std::string pending_;  // the beginning of a character, at most three bytes
};

}  // namespace qw
