#include "text/tool_calls.h"

#include <algorithm>

#include "base/json.h"

namespace qw {
namespace {

constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";
constexpr std::string_view kSpace = " \t\r\n";

std::string_view trimmed(std::string_view s) {
  const size_t begin = std::min(s.find_first_not_of(kSpace), s.size());
  return s.substr(begin, s.find_last_not_of(kSpace) + 1 - begin);
}

// The end of the value or key that begins at `i` of a valid JSON object.
size_t value_end(std::string_view json, size_t i) {
  int depth = 0;
  bool in_string = false;
  for (; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth < 0) break;
    if ((c == ',' || c == ':') && depth == 0) break;
  }
  return i;
}

// How a member of a valid JSON object is spelled; of equal keys the last, as parsers have it.
std::string_view spelling_of(std::string_view json, std::string_view name) {
  std::string_view found;
  size_t i = json.find('{') + 1;
  while (i < json.size()) {
    const size_t colon = value_end(json, i);
    if (colon >= json.size() || json[colon] != ':') break;
    const size_t end = value_end(json, colon + 1);
    if (Json::parse(json.substr(i, colon - i)) == name)
      found = trimmed(json.substr(colon + 1, end - colon - 1));
    if (json[end] == '}') break;
    i = end + 1;
  }
  return found;
}

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

std::optional<ToolCall> parse_tool_call(std::string_view body) {
  if (body.find('\0') != body.npos) return std::nullopt;  // to the parser this is the end of the text
  const Result<Json> json = parse_json(body, "");
  if (!json || !json->is_object() || !json->contains("name") || !(*json)["name"].is_string())
    return std::nullopt;
  ToolCall call{.name = (*json)["name"].get<std::string>(), .arguments = "{}", .raw = {}};
  if (call.name.empty()) return std::nullopt;
  if (!json->contains("arguments")) return call;
  const Json& arguments = (*json)["arguments"];
  if (arguments.is_object()) {
    call.arguments = spelling_of(body, "arguments");
    return call;
  }
  if (!arguments.is_string()) return std::nullopt;
  call.arguments = trimmed(arguments.get<std::string>());
  const Result<Json> inside = parse_json(call.arguments, "");
  return inside && inside->is_object() ? std::optional(call) : std::nullopt;
}

void ToolCallParser::push(std::string_view text, std::vector<OutputEvent>& out) {
  held_ += text;
  do {
    if (!in_body_) take_text(out);
  } while (in_body_ && take_body(out));
}

// Gives out what is certain to be text, up to the next opening tag.
void ToolCallParser::take_text(std::vector<OutputEvent>& out) {
  const size_t open = held_.find(kOpen);
  const size_t end = open != held_.npos ? open : held_.size() - begun(held_, kOpen);
  const size_t text = held_.find_last_not_of('\n', end == 0 ? 0 : end - 1);
  const size_t certain = end == 0 || text == held_.npos ? 0 : text + 1;
  give_text(std::string_view(held_).substr(0, certain), out);
  if (open == held_.npos) {
    held_.erase(0, certain);
    return;
  }
  newlines_ = held_.substr(certain, open - certain);
  held_.erase(0, open + kOpen.size());
  in_body_ = true;
  in_string_ = false;
  scanned_ = 0;
}

bool ToolCallParser::take_body(std::vector<OutputEvent>& out) {
  for (; scanned_ < held_.size(); ++scanned_) {
    const char c = held_[scanned_];
    if (in_string_) {
      if (c == '\\' && scanned_ + 1 == held_.size()) return false;
      if (c == '\\' && held_[scanned_ + 1] != '\n') ++scanned_;
      if (c == '"' || c == '\n') in_string_ = false;
      continue;
    }
    in_string_ = c == '"';
    if (c != '<') continue;
    const std::string_view rest = std::string_view(held_).substr(scanned_);
    if (rest.size() < kClose.size() && kClose.starts_with(rest)) return false;
    if (!rest.starts_with(kClose)) continue;
    const std::string body = held_.substr(0, scanned_);
    held_.erase(0, scanned_ + kClose.size());
    in_body_ = false;
    give_call(body, kClose, out);
    return true;
  }
  return false;
}

void ToolCallParser::give_text(std::string_view text, std::vector<OutputEvent>& out) {
  if (behind_call_) text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  if (!text.empty()) behind_call_ = false;
  append(OutputEvent::Kind::text, text, out);
}

void ToolCallParser::give_call(std::string_view body, std::string_view end, std::vector<OutputEvent>& out) {
  std::string raw = fmt::format("{}{}{}", kOpen, body, end);
  if (std::optional<ToolCall> call = parse_tool_call(body)) {
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
    const size_t tail = in_string_ ? 0 : begun(held_, kClose);
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
  if (!tool_calls_) {
    append(OutputEvent::Kind::text, delta.text, out);
    return out;
  }
  calls_.push(delta.text, out);
  if (last) calls_.finish(out);
  return out;
}

std::vector<int32_t> output_tag_ids(const Tokenizer& tokenizer) {
  std::vector<int32_t> out = reasoning_tag_ids(tokenizer);
  for (const std::string_view tag : {kOpen, kClose}) {
    if (const std::optional<int32_t> id = tokenizer.id_of(tag)) out.push_back(*id);
  }
  return out;
}

}  // namespace qw
