// The regular expressions that checkpoints name modules with ("re:.*\.mlp\.(gate|up)_proj$"): the part of
// Python's `re` that such names need, matched in time proportional to text × pattern, whatever the pattern.
// Test: tests/io/pattern_test.cc
#pragma once

#include <array>
#include <bitset>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace qw {

class Pattern {
 public:
  // Literals, ".", classes, \d \w \s and their negations, groups, "|", "*", "+", "?" (also lazy), "^" and
  // "$". Errors: pattern.unsupported (args pattern, offset): anything else, as look-ahead or counted
  // repetition.
  static Result<Pattern> parse(std::string_view text);

  // As re.match: from the beginning of `text`, not necessarily to its end. Bytes, not characters.
  bool matches_start(std::string_view text) const;

 private:
  struct State {
    enum Kind { byte, split, begin, end, accept } kind = accept;
    std::bitset<256> bytes = {};
    int next = -1, other = -1;
  };
  class Parser;

  void reach(int state, bool at_begin, bool at_end, std::vector<int>& list, std::vector<bool>& seen) const;

  std::vector<State> states_;
  int start_ = 0;
};

}  // namespace qw
