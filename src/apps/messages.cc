#include "apps/messages.h"

#include "apps/chat/graphemes.h"
#include "base/env.h"

namespace qw::apps {
namespace {

constexpr MessageRow kRows[] = {
#include "catalogue.inc"
};

const MessageRow* find(std::string_view code) {
  for (const MessageRow& row : kRows)
    if (row.code == code) return &row;
  return nullptr;
}

bool is_name(std::string_view s) {
  if (s.empty()) return false;
  for (const char c : s)
    if ((c < 'a' || c > 'z') && c != '_') return false;
  return true;
}

// Replaces {name} by the argument, which may come from a file or a hub and must not steer the terminal; a
// name without an argument stays visible, as it stands.
std::string fill(std::string_view pattern, const Error& error) {
  std::string out;
  while (true) {
    const size_t open = pattern.find('{');
    const size_t close = open == pattern.npos ? pattern.npos : pattern.find('}', open);
    if (close == pattern.npos) return out.append(pattern);
    const std::string_view name = pattern.substr(open + 1, close - open - 1);
    const ErrorArg* found = nullptr;
    for (const ErrorArg& a : error.args())
      if (is_name(name) && a.name == name) found = &a;
    out.append(pattern.substr(0, open));
    if (found != nullptr) {
      out.append(chat::printable(found->value));
      pattern.remove_prefix(close + 1);
    } else {
      out.push_back('{');
      pattern.remove_prefix(open + 1);
    }
  }
}

}  // namespace

std::span<const MessageRow> catalogue() {
  return kRows;
}

std::string message(Lang lang, const Error& error) {
  const MessageRow* row = find(error.code());
  if (row == nullptr) return error.debug();
  const std::string_view pattern = lang == Lang::zh ? row->zh : row->en;
  const std::string said = fill(pattern, error);
  // A caller higher up may know the file where the sentence does not name it.
  const std::string_view file = error.arg("file");
  return file.empty() || pattern.find("{file}") != pattern.npos
             ? said
             : fmt::format("{}: {}", chat::printable(file), said);
}

std::string text(Lang lang, std::string_view code, std::initializer_list<ErrorArg> args) {
  return message(lang, Error(code, args));
}

Result<Lang> parse_lang(std::string_view value, std::string_view source) {
  if (value == "en") return Lang::en;
  if (value == "zh") return Lang::zh;
  return fail("cli.bad_lang", {{"source", source}, {"value", value}});
}

Lang locale_lang() {
  for (const char* name : {"LC_ALL", "LC_MESSAGES", "LANG"})
    if (const auto value = env(name)) return value->starts_with("zh") ? Lang::zh : Lang::en;
  return Lang::en;
}

Result<Lang> choose_lang(std::string_view flag) {
  if (!flag.empty()) return parse_lang(flag, "--lang");
  if (const auto value = env("QW_LANG")) return parse_lang(*value, "QW_LANG");
  return locale_lang();
}

}  // namespace qw::apps
