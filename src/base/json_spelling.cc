#include "base/json_spelling.h"

#include "base/json.h"

namespace qw {
namespace {

// Where the value or key ends that begins at `i` of a valid JSON object: at the first comma, colon or bracket
// outside of it.
size_t end_of_value(std::string_view text, size_t i) {
  int depth = 0;
  for (bool in_string = false; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (--depth < 0) return i;
    } else if ((c == ',' || c == ':') && depth == 0) {
      return i;
    }
  }
  return i;
}

}  // namespace

std::vector<std::pair<std::string, std::string_view>> spelled_members(std::string_view object) {
  std::vector<std::pair<std::string, std::string_view>> out;
  size_t i = object.find('{') + 1;
  while (object[object.find_first_not_of(" \t\r\n", i)] != '}') {
    const size_t colon = end_of_value(object, i);
    const size_t end = end_of_value(object, colon + 1);
    out.emplace_back(Json::parse(object.substr(i, colon - i)).get<std::string>(),
                     object.substr(colon + 1, end - colon - 1));
    if (object[end] != ',') break;
    i = end + 1;
  }
  return out;
}

}  // namespace qw
