// The message catalogue: every sentence that qw says, in English and Chinese. Rooms below apps/ fail with a
// code and named arguments (base/result.h); here they become text. The rows lie in messages/*.inc:
// {"code", "English", "中文"}, with {name} where an argument goes.
// Test: tests/apps/messages_test.cc (every code used in src/ has a row, both languages, equal placeholders)
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace qw::apps {

enum class Lang { en, zh };

struct MessageRow {
  std::string_view code, en, zh;
};
std::span<const MessageRow> catalogue();

// The sentence of an error, behind the name of its file where the row has no place for it. A code without a
// row (a test finds those) gives the error's debug form.
std::string message(Lang lang, const Error& error);
// A text of the user interface, by its code.
std::string text(Lang lang, std::string_view code, std::initializer_list<ErrorArg> args = {});

// "en" and "zh" alone.
Result<Lang> parse_lang(std::string_view value, std::string_view source);
// The language of this process: `flag` (the value of --lang, "" where absent), else QW_LANG, else the locale
// (the first of LC_ALL, LC_MESSAGES, LANG that is set: Chinese where it begins with "zh"). Errors:
// cli.bad_lang.
Result<Lang> choose_lang(std::string_view flag);
// The locale alone: for errors about a bad --lang.
Lang locale_lang();

}  // namespace qw::apps
