// OutputParser: the text a model generates, piece by piece, into reasoning and answer, with stop strings.
// However the stream is cut, the joined result is the same. Test: tests/text/output_parser_test.cc
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace qw {

struct OutputOptions {
  bool reasoning = true;             // false: everything is text (plain continuation)
  bool starts_in_reasoning = false;  // the prompt ended inside an open block: prompt_opens_reasoning()
  std::vector<std::string> stop{};   // looked for in the answer, not in the reasoning; empty ones are ignored
};

struct OutputDelta {
  std::string reasoning;
  std::string text;
};

// Finds the first place where one of several strings is complete, and holds back what may still become one.
class StopMatcher {
 public:
  explicit StopMatcher(const std::vector<std::string>& stops);

  // What is certain not to belong to a stop string. Nothing more once stopped.
  std::string push(std::string_view text);
  // What was held back.
  std::string finish();
  bool stopped() const { return matched_ >= 0; }
  // The string that ended the stream; "" before. Where several end at one place: the longest.
  std::string_view matched() const;
  // What was pushed behind the end of the match, in the push that completed it.
  std::string_view rest() const { return rest_; }

 private:
  struct Pattern {
    std::string text;
    std::vector<size_t> fallback;  // Knuth-Morris-Pratt: length of the longest border of each prefix
    size_t state = 0;              // how much of the pattern the stream ends with
  };
  static size_t advance(const Pattern& pattern, char c);

  std::vector<Pattern> patterns_;
  std::string held_;
  std::string rest_;
  int matched_ = -1;
};

// The reasoning is the block <think>…</think> that stands first (white space before it is dropped); what
// follows it is the answer. As in Qwen3's chat template, newlines at both ends of the reasoning and before
// the answer behind it are dropped.
class OutputParser {
 public:
  explicit OutputParser(const OutputOptions& options);

  OutputDelta push(std::string_view text);
  // The end of the stream: what was held back.
  OutputDelta finish();

  // A stop string was found; text behind it is dropped, and so is all that follows.
  bool stopped() const { return stop_.stopped(); }
  // A reasoning block was opened, here or in the prompt (it may be empty).
  bool has_reasoning() const { return has_reasoning_; }

 private:
  enum class State { start, reasoning, answer_newlines, answer };

  void consume(std::string_view text, OutputDelta& out);
  std::string_view at_start(std::string_view text);
  std::string_view in_block(std::string_view text, OutputDelta& out);
  void add_reasoning(std::string_view text, OutputDelta& out);

  State state_;
  bool has_reasoning_;
  bool reasoning_began_ = false;  // a character other than a newline was seen in the block
  std::string start_;             // white space and part of the opening tag, until it is known which
  std::string newlines_;          // of the reasoning, until something follows them
  StopMatcher close_;
  StopMatcher stop_;
};

// Whether a rendered prompt ends with an opening tag (and white space), as templates of thinking models do.
bool prompt_opens_reasoning(std::string_view prompt);

// The ids of the tags, where they are single tokens: for Detokenizer's `keep`, since some models have them as
// special tokens.
std::vector<int32_t> reasoning_tag_ids(const Tokenizer& tokenizer);

}  // namespace qw
