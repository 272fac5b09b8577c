#include "apps/eval/judge.h"

#include <algorithm>

#include "text/jinja/unicode.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace qw::eval {
namespace {

bool contains_any(std::string_view text, const std::vector<std::string>& phrases) {
  const std::string normal = normal_form(text, false);
  return std::any_of(phrases.begin(), phrases.end(), [&](const std::string& phrase) {
    return normal.find(normal_form(phrase, false)) != normal.npos;
  });
}

bool exact(const Item& item, const Written& written) {
  const std::string got = normal_form(written.text, item.ignore_case);
  return std::any_of(item.answers.begin(), item.answers.end(), [&](const std::string& answer) {
    const std::string wanted = normal_form(answer, item.ignore_case);
    switch (item.match) {
      case Match::equal:
        return got == wanted;
      case Match::contains:
        return got.find(wanted) != got.npos;
      case Match::prefix:
        return got.starts_with(wanted);
    }
    return false;
  });
}

// As JSON values: the order of members does not count, 1 equals 1.0.
bool same_calls(const Item& item, const Written& written) {
  if (written.malformed || written.calls.size() != item.calls.size()) return false;
  for (size_t i = 0; i < written.calls.size(); ++i) {
    const Result<Json> got = parse_json(written.calls[i].arguments, "");
    const Json& wanted = item.calls[i];
    if (!got || written.calls[i].name != wanted.at("name").get<std::string>()) return false;
    if (nlohmann::json(*got) != nlohmann::json(wanted.at("arguments"))) return false;
  }
  return true;
}

}  // namespace

std::string normal_form(std::string_view text, bool ignore_case) {
  const std::string valid = text::nfc(text::utf8_valid(text) ? std::string(text) : text::utf8_lossy(text));
  std::string out;
  bool space = false;
  for (const char *p = valid.data(), *end = p + valid.size(); p < end;) {
    const char* begin = p;
    if ((text::char_class(text::utf8_next(p)) & text::kSpace) != 0) {
      space = true;
      continue;
    }
    if (space && !out.empty()) out.push_back(' ');
    space = false;
    out.append(begin, p);
  }
  return ignore_case ? text::jinja::to_folded(out) : out;
}

bool passes(const Item& item, const Written& written) {
  switch (item.kind) {
    case Kind::exact:
      return exact(item, written);
    case Kind::tool_call:
      return same_calls(item, written);
    case Kind::refusal:
      return contains_any(written.text, item.refusal_phrases) == item.refuse;
    case Kind::choice:
    case Kind::perplexity:
      break;
  }
  return false;
}

}  // namespace qw::eval
