// Tool calls in what a model writes ("<tool_call>…</tool_call>", with either body of text/call_body.h), found
// while the answer streams: no part of a call is ever given out as text. However the stream is cut, the
// events are the same (texts joined). Test: tests/text/tool_calls_test.cc, tests/fuzz/tool_calls_fuzz.cc
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/call_body.h"
#include "text/output_parser.h"

namespace qw {

struct OutputEvent {
  enum class Kind : uint8_t {
    reasoning,
    text,
    tool_call,
    malformed_call,  // `text` is what stands there, tags included: part of the answer like other text
  };
  Kind kind = Kind::text;
  std::string text{};  // all kinds but tool_call
  ToolCall call{};     // tool_call
};

// The answer (without reasoning) into text and calls. Newlines before a call and behind one belong to its
// form and are no text. A call that the stream ends in counts where its JSON, or its function, is complete.
class ToolCallParser {
 public:
  explicit ToolCallParser(ToolTypes types) : types_(std::move(types)) {}

  // Appends to `out`; neighbouring texts are joined.
  void push(std::string_view text, std::vector<OutputEvent>& out);
  // The end of the stream: what was held back.
  void finish(std::vector<OutputEvent>& out);

 private:
  void take_text(std::vector<OutputEvent>& out);
  // False where the body is not at its end.
  bool take_body(std::vector<OutputEvent>& out);
  void give_text(std::string_view text, std::vector<OutputEvent>& out);
  void give_call(std::string_view body, std::string_view end, std::vector<OutputEvent>& out);

  std::string held_;      // text that may become a tag, or the body so far
  std::string newlines_;  // before the call that is open
  ToolTypes types_;
  CallBodyScanner body_{};
  bool in_body_ = false;
  bool behind_call_ = false;  // newlines here are dropped
};

// Reasoning, text and calls of an answer: an OutputParser, and behind it a ToolCallParser where there are
// tools (else calls are text).
class OutputEventParser {
 public:
  OutputEventParser(const OutputOptions& options, std::optional<ToolTypes> tools) : output_(options) {
    if (tools) calls_.emplace(*std::move(tools));
  }

  std::vector<OutputEvent> push(std::string_view text) { return divide(output_.push(text), false); }
  std::vector<OutputEvent> finish() { return divide(output_.finish(), true); }
  // stopped(), has_reasoning() …
  const OutputParser& output() const { return output_; }

 private:
  std::vector<OutputEvent> divide(const OutputDelta& delta, bool last);

  OutputParser output_;
  std::optional<ToolCallParser> calls_;
};

// The ids of the tags of reasoning and of calls, where they are single tokens: for Detokenizer's `keep`.
std::vector<int32_t> output_tag_ids(const Tokenizer& tokenizer);

}  // namespace qw
