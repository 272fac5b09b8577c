// Pre-tokenizers: text into the pieces inside which BPE merges. Each rule is one of the regexes of the model
// families (listed with their source in pretokenizer.cc), written as a scanner; a piece is found in time
// linear in its length. Test: tests/text/pretokenizer_test.cc, tests/text/golden_test.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qw::text {

enum class SplitRule : uint8_t {
  whole,         // no split
  gpt2,          // ByteLevel's own regex
  llama3,        // digits in groups of three
  qwen2,         // digits alone; Qwen2, Qwen2.5, Qwen3
  qwen35,        // as qwen2, combining marks belong to words
  digits_each,   // Digits(individual_digits = true)
  digits_runs,   // Digits(individual_digits = false)
  punct_runs,    // [\p{P}\$\+<=>\^~\|]+, first step of llama.cpp's "default"
  number_runs,   // \p{N}+, its third
  three_digits,  // [0-9][0-9][0-9], its fourth
};

// The end of the piece of `text` (valid UTF-8) that starts at `pos` < text.size(). The pieces of a rule cover
// the text.
size_t piece_end(SplitRule rule, std::string_view text, size_t pos);

// The rule that a regex of tokenizer.json stands for, recognised by its exact spelling.
std::optional<SplitRule> rule_of_regex(std::string_view regex);
// The other way; "" for a rule that no tokenizer.json spells as a regex.
std::string_view regex_of_rule(SplitRule rule);

// One step of a pre-tokenizer: an optional space before the text, where it does not begin with one, then a
// split.
struct SplitStep {
  SplitRule rule = SplitRule::whole;
  bool prefix_space = false;
};

// A sequence of steps; each splits the pieces of the one before.
class PreTokenizer {
 public:
  explicit PreTokenizer(std::vector<SplitStep> steps) : steps_(std::move(steps)) {}

  // Calls fn(piece) for each piece, in order. A piece is valid only during the call.
  template <class Fn>
  void for_each(std::string_view text, Fn&& fn) const {
    if (!text.empty()) run(text, 0, fn);
  }

 private:
  template <class Fn>
  void run(std::string_view text, size_t step, Fn& fn) const {
    if (step == steps_.size()) {
      fn(text);
      return;
    }
    if (steps_[step].prefix_space && text.front() != ' ') {
      std::string spaced = " ";
      spaced += text;
      split(spaced, step, fn);
      return;
    }
    split(text, step, fn);
  }

  template <class Fn>
  void split(std::string_view text, size_t step, Fn& fn) const {
    for (size_t pos = 0; pos < text.size();) {
      const size_t end = piece_end(steps_[step].rule, text, pos);
      run(text.substr(pos, end - pos), step + 1, fn);
      pos = end;
    }
  }

  std::vector<SplitStep> steps_;
};

}  // namespace qw::text
