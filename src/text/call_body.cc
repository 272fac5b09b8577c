#include "text/call_body.h"

#include <algorithm>

#include "base/json_spelling.h"

namespace qw {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kFunction = "<function=", kFunctionEnd = "</function>";
constexpr std::string_view kParameter = "<parameter=", kParameterEnd = "</parameter>";

std::string_view trimmed(std::string_view s) {
  const size_t begin = std::min(s.find_first_not_of(kSpace), s.size());
  return s.substr(begin, s.find_last_not_of(kSpace) + 1 - begin);
}

// Whether `text` begins with `tag`; maybe: it ends before that can be said.
enum class Begins { no, maybe, yes };

Begins begins(std::string_view text, std::string_view tag) {
  if (text.starts_with(tag)) return Begins::yes;
  return tag.starts_with(text) ? Begins::maybe : Begins::no;
}

// Whether a </parameter> with this and white space behind it ends its value: a value may hold that text
// itself.
Begins ends_value(std::string_view behind) {
  Begins best = Begins::no;
  for (const std::string_view tag : {kParameter, kFunctionEnd, kToolCallClose})
    best = std::max(best, begins(behind, tag));
  return best;
}

// "function=NAME>" less the tag's begin: the name, and what stands behind it.
std::optional<std::pair<std::string, std::string_view>> name_in_tag(std::string_view rest) {
  const size_t end = rest.find_first_of(">\n");
  if (end == rest.npos || rest[end] != '>') return std::nullopt;
  std::string name(trimmed(rest.substr(0, end)));
  if (name.empty()) return std::nullopt;
  return std::pair(std::move(name), rest.substr(end + 1));
}

// The place of the </parameter> that ends the value at the begin of `rest`, of a body that is complete.
size_t value_end(std::string_view rest) {
  for (size_t at = rest.find(kParameterEnd); at != rest.npos; at = rest.find(kParameterEnd, at + 1)) {
    const std::string_view behind = trimmed(rest.substr(at + kParameterEnd.size()));
    if (behind.empty() || ends_value(behind) == Begins::yes) return at;
  }
  return rest.npos;
}

std::string json_string(std::string_view text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

void add_types(const Json& schema, std::vector<std::string>& out) {
  if (!schema.is_object()) return;
  if (const auto type = schema.find("type"); type != schema.end()) {
    if (type->is_string()) out.push_back(type->get<std::string>());
    if (type->is_array())
      for (const Json& t : *type)
        if (t.is_string()) out.push_back(t.get<std::string>());
  }
  for (const char* key : {"anyOf", "oneOf", "allOf"})
    if (const auto parts = schema.find(key); parts != schema.end() && parts->is_array())
      for (const Json& part : *parts) add_types(part, out);
}

bool is_of_type(const Json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "object") return value.is_object();
  return type == "array" && value.is_array();
}

}  // namespace

ToolTypes::ToolTypes(const Json& tools) {
  if (!tools.is_array()) return;
  for (const Json& tool : tools) {
    if (!tool.is_object()) continue;
    const auto inner = tool.find("function");
    const Json& function = inner != tool.end() && inner->is_object() ? *inner : tool;
    const Json name = function.value("name", Json());
    const Json parameters = function.value("parameters", Json());
    if (!name.is_string() || !parameters.is_object()) continue;
    const Json properties = parameters.value("properties", Json());
    if (!properties.is_object()) continue;
    for (const auto& [key, schema] : properties.items())
      add_types(schema, types_[{name.get<std::string>(), key}]);
  }
}

std::string ToolTypes::value_json(const std::string& function, const std::string& parameter,
                                  std::string_view text) const {
  const auto found = types_.find({function, parameter});
  if (found == types_.end()) return json_string(text);
  // Models write True, False and None as Python does.
  std::string spelled(trimmed(text));
  const std::string small = lower(spelled);
  if (small == "true" || small == "false") spelled = small;
  if (small == "null" || small == "none") spelled = "null";
  const Result<Json> value = parse_json(spelled, "");
  const bool fits = value && spelled.find('\0') == spelled.npos &&
                    std::any_of(found->second.begin(), found->second.end(),
                                [&](const std::string& type) { return is_of_type(*value, type); });
  return fits ? spelled : json_string(text);
}

std::optional<ToolCall> parse_json_call(std::string_view body) {
  if (body.find('\0') != body.npos) return std::nullopt;  // to the parser this is the end of the text
  const Result<Json> json = parse_json(body, "");
  if (!json || !json->is_object() || !json->contains("name") || !(*json)["name"].is_string())
    return std::nullopt;
  ToolCall call{.name = (*json)["name"].get<std::string>(), .arguments = "{}", .raw = {}};
  if (call.name.empty()) return std::nullopt;
  if (!json->contains("arguments")) return call;
  const Json& arguments = (*json)["arguments"];
  if (arguments.is_object()) {
    for (const auto& [key, value] : spelled_members(body))
      if (key == "arguments") call.arguments = trimmed(value);  // of equal keys the last, as parsers have it
    return call;
  }
  if (!arguments.is_string()) return std::nullopt;
  call.arguments = trimmed(arguments.get<std::string>());
  const Result<Json> inside = parse_json(call.arguments, "");
  return inside && inside->is_object() ? std::optional(call) : std::nullopt;
}

std::optional<ToolCall> parse_tagged_call(std::string_view body, const ToolTypes& types, bool closed) {
  std::string_view rest = trimmed(body);
  if (!rest.starts_with(kFunction)) return std::nullopt;
  auto function = name_in_tag(rest.substr(kFunction.size()));
  if (!function) return std::nullopt;
  rest = trimmed(function->second);
  std::vector<std::pair<std::string, std::string>> arguments;
  while (rest.starts_with(kParameter)) {
    auto parameter = name_in_tag(rest.substr(kParameter.size()));
    if (!parameter) return std::nullopt;
    auto& [key, value] = *parameter;
    const size_t end = value_end(value);
    if (end == value.npos) return std::nullopt;
    std::string_view text = value.substr(0, end);
    if (text.starts_with('\n')) text.remove_prefix(1);
    if (text.ends_with('\n')) text.remove_suffix(1);
    std::erase_if(arguments, [&k = key](const auto& a) { return a.first == k; });  // the last one counts
    arguments.emplace_back(key, types.value_json(function->first, key, text));
    rest = trimmed(value.substr(end + kParameterEnd.size()));
  }
  if (rest != kFunctionEnd && !(rest.empty() && closed)) return std::nullopt;
  ToolCall call{.name = function->first, .arguments = "{", .raw = {}};
  for (const auto& [key, value] : arguments)
    call.arguments += fmt::format("{}{}: {}", call.arguments.size() > 1 ? ", " : "", json_string(key), value);
  call.arguments += "}";
  return call;
}

size_t CallBodyScanner::skip_space(std::string_view held, size_t from) {
  spaces_ = std::min(held.find_first_not_of(kSpace, std::max(spaces_, from)), held.size());
  return spaces_;
}

size_t CallBodyScanner::find_end(std::string_view held) {
  if (form_ == Form::unknown) {
    const Begins tagged = begins(held.substr(skip_space(held, 0)), kFunction);
    if (tagged == Begins::maybe) return held.npos;
    form_ = tagged == Begins::yes ? Form::tagged : Form::json;
  }
  return form_ == Form::json ? find_in_json(held) : find_in_tagged(held);
}

size_t CallBodyScanner::find_in_json(std::string_view held) {
  for (; scanned_ < held.size(); ++scanned_) {
    const char c = held[scanned_];
    if (in_string_) {
      if (c == '\\' && scanned_ + 1 == held.size()) return held.npos;
      if (c == '\\' && held[scanned_ + 1] != '\n') ++scanned_;
      if (c == '"' || c == '\n') in_string_ = false;
      continue;
    }
    in_string_ = c == '"';
    if (c != '<') continue;
    const std::string_view rest = held.substr(scanned_);
    if (rest.starts_with(kToolCallClose)) return scanned_;
    if (kToolCallClose.starts_with(rest)) return held.npos;
  }
  return held.npos;
}

size_t CallBodyScanner::find_in_tagged(std::string_view held) {
  for (; scanned_ < held.size(); ++scanned_) {
    if (held[scanned_] != '<') continue;
    const std::string_view rest = held.substr(scanned_);
    if (in_value_) {
      if (kParameterEnd.starts_with(rest)) return held.npos;
      if (!rest.starts_with(kParameterEnd)) continue;
      const Begins ends = ends_value(held.substr(skip_space(held, scanned_ + kParameterEnd.size())));
      if (ends == Begins::maybe) return held.npos;
      in_value_ = ends == Begins::no;
      continue;
    }
    if (rest.starts_with(kToolCallClose)) return scanned_;
    if (kToolCallClose.starts_with(rest) || kParameter.starts_with(rest)) return held.npos;
    if (!rest.starts_with(kParameter)) continue;
    const size_t end = rest.find_first_of(">\n");
    if (end == rest.npos) return held.npos;
    in_value_ = rest[end] == '>';
  }
  return held.npos;
}

}  // namespace qw
