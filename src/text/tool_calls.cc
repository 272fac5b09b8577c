#include "text/tool_calls.h"

#include <fmt/format.h>

#include <algorithm>

namespace qw {
namespace {

void append(OutputEvent::Kind kind, std::string_view text, std::vector<OutputEvent>& out) {
  if (text.empty()) return;
  if (!out.empty() && out.back().kind == kind && kind != OutputEvent::Kind::malformed_call)
    out.back().text += text;
  else
    out.push_back({.kind = kind, .text = std::string(text)});
}

// The length of the longest end of `text` that begins like `tag`.
size_t begun(std::string_view text, std::string_view tag) {
  for (size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n)
    if (text.ends_with(tag.substr(0, n))) return n;
  return 0;
}

}  // namespace

void ToolCallParser::push(std::string_view text, std::vector<OutputEvent>& out) {
  held_ += text;
  do {
    if (!in_body_) take_text(out);
  } while (in_body_ && take_body(out));
}

// Gives out what is certain to be text, up to the next opening tag.
void ToolCallParser::take_text(std::vector<OutputEvent>& out) {
  const size_t open = held_.find(kToolCallOpen);
  const size_t end = open != held_.npos ? open : held_.size() - begun(held_, kToolCallOpen);
  const size_t text = held_.find_last_not_of('\n', end == 0 ? 0 : end - 1);
  const size_t certain = end == 0 || text == held_.npos ? 0 : text + 1;
  give_text(std::string_view(held_).substr(0, certain), out);
  if (open == held_.npos) {
    held_.erase(0, certain);
    return;
  }
  newlines_ = held_.substr(certain, open - certain);
  held_.erase(0, open + kToolCallOpen.size());
  in_body_ = true;
  body_ = {};
}

bool ToolCallParser::take_body(std::vector<OutputEvent>& out) {
  const size_t end = body_.find_end(held_);
  if (end == held_.npos) return false;
  const std::string body = held_.substr(0, end);
  held_.erase(0, end + kToolCallClose.size());
  in_body_ = false;
  give_call(body, kToolCallClose, out);
  return true;
}

void ToolCallParser::give_text(std::string_view text, std::vector<OutputEvent>& out) {
  if (behind_call_) text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  if (!text.empty()) behind_call_ = false;
  append(OutputEvent::Kind::text, text, out);
}

void ToolCallParser::give_call(std::string_view body, std::string_view end, std::vector<OutputEvent>& out) {
  std::string raw = fmt::format("{}{}{}", kToolCallOpen, body, end);
  std::optional<ToolCall> call = parse_tagged_call(body, types_, end == kToolCallClose);
  if (!call) call = parse_json_call(body);
  if (call) {
    call->raw = std::move(raw);
    out.push_back({.kind = OutputEvent::Kind::tool_call, .call = *std::move(call)});
    behind_call_ = true;
  } else {
    give_text(newlines_, out);
    append(OutputEvent::Kind::malformed_call, raw, out);
    behind_call_ = false;
  }
  newlines_.clear();
}

void ToolCallParser::finish(std::vector<OutputEvent>& out) {
  if (in_body_) {
    const size_t tail = body_.inside_value() ? 0 : begun(held_, kToolCallClose);
    const std::string_view held = held_;
    give_call(held.substr(0, held.size() - tail), held.substr(held.size() - tail), out);
  } else {
    give_text(held_, out);
  }
  held_.clear();
  in_body_ = behind_call_ = false;
}

std::vector<OutputEvent> OutputEventParser::divide(const OutputDelta& delta, bool last) {
  std::vector<OutputEvent> out;
  append(OutputEvent::Kind::reasoning, delta.reasoning, out);
  if (!calls_) {
    append(OutputEvent::Kind::text, delta.text, out);
    return out;
  }
  calls_->push(delta.text, out);
  if (last) calls_->finish(out);
  return out;
}

std::vector<int32_t> output_tag_ids(const Tokenizer& tokenizer) {
  std::vector<int32_t> out = reasoning_tag_ids(tokenizer);
  for (const std::string_view tag : {kToolCallOpen, kToolCallClose}) {
    if (const std::optional<int32_t> id = tokenizer.id_of(tag)) out.push_back(*id);
  }
  return out;
}

}  // namespace qw
