#include "base/json.h"

#include <fmt/format.h>

#include "base/mmap.h"

namespace qw {
namespace {

constexpr int kMaxDepth = 200;

// Nesting depth of the brackets outside strings; enough to refuse a hostile depth before the parser recurses.
bool too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view file) {
  if (too_deep(text)) return fail("json.too_deep", {{"file", file}, {"limit", kMaxDepth}});
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& e) {
    return fail("json.parse", {{"file", file}, {"offset", e.byte}});
  } catch (const Json::exception&) {  // a number out of range
    return fail("json.parse", {{"file", file}, {"offset", 0}});
  }
}

Result<Json> parse_json_file(const std::filesystem::path& path) {
  QW_TRY(const std::string text, read_file(path));
  return parse_json(text, path.string());
}

std::string to_json_line(const Json& value) {
  return value.dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace qw
