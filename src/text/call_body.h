// What stands between the tags of a tool call, in either of Qwen's forms: the JSON object of Hermes and Qwen3
// ({"name": …, "arguments": …}), or the tagged one of Qwen3-Coder and Qwen3.5
// (<function=NAME><parameter=KEY>value</parameter>…</function>). Test: tests/text/tool_calls_test.cc
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace qw {

inline constexpr std::string_view kToolCallOpen = "<tool_call>";
inline constexpr std::string_view kToolCallClose = "</tool_call>";

struct ToolCall {
  std::string name;
  std::string arguments;  // a JSON object; values are spelled as the model did
  std::string raw;        // all of it, with the tags
};

// The types that the tools' schemas give to parameters. The tagged form writes 5 and "5" alike, so only they
// tell which is meant.
class ToolTypes {
 public:
  ToolTypes() = default;
  // `tools`: a list of {"type": "function", "function": {"name", "parameters"}} or of the inner objects.
  // What is not of that form is passed over.
  explicit ToolTypes(const Json& tools);
  explicit ToolTypes(std::string_view tools_json) : ToolTypes(parse_json(tools_json, "").value_or(Json())) {}

  // JSON for the text of a value: a string, unless the schema allows the type that the text spells.
  std::string value_json(const std::string& function, const std::string& parameter,
                         std::string_view text) const;

 private:
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> types_;
};

// The JSON form: an object with a "name" and, where there are any, "arguments": an object, or a string that
// holds one. None where it is something else.
std::optional<ToolCall> parse_json_call(std::string_view body);

// The tagged form. One newline on each side of a value belongs to the form. `closed`: the call's own closing
// tag was there, so that a missing </function> can be forgiven.
std::optional<ToolCall> parse_tagged_call(std::string_view body, const ToolTypes& types, bool closed);

// Finds where a body ends while it grows. A closing tag inside a JSON string (which no newline can be in) or
// inside a value is part of it.
class CallBodyScanner {
 public:
  // The place of the closing tag in `held` (the body so far), or npos. `held` only grows between two calls.
  size_t find_end(std::string_view held);
  // Inside a JSON string or a value, where a closing tag would not count.
  bool inside_value() const { return in_string_ || in_value_; }

 private:
  enum class Form { unknown, json, tagged };
  // The first place from `from` on that is no white space. What was passed is not read again when `held` has
  // grown: a model may write spaces without end.
  size_t skip_space(std::string_view held, size_t from);
  size_t find_in_json(std::string_view held);
  size_t find_in_tagged(std::string_view held);

  Form form_ = Form::unknown;
  size_t scanned_ = 0;
  size_t spaces_ = 0;
  bool in_string_ = false;
  bool in_value_ = false;
};

}  // namespace qw
