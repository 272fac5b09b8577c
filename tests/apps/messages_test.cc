// The catalogue against the sources: every code that src/ can fail with has one row, both languages, equal
// placeholders that the code fills; and no row is left over.
#include "apps/messages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <regex>
#include <set>

#include "apps/hub/table.h"
#include "base/mmap.h"
#include "train/config.h"

namespace qw::apps {
namespace {

namespace fs = std::filesystem;

// All of src/ but the catalogue itself.
std::map<std::string, std::string> sources() {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(QW_SOURCE_DIR) / "src")) {
    const std::string ext = entry.path().extension().string();
    if (ext != ".cc" && ext != ".h" && ext != ".inl") continue;
    const auto content = read_file(entry.path());
    EXPECT_TRUE(content.has_value()) << entry.path();
    if (content) out[entry.path().string()] = *content;
  }
  return out;
}

std::set<std::string> placeholders(std::string_view pattern) {
  static const std::regex name(R"(\{([a-z_]+)\})");
  std::set<std::string> out;
  const std::string text(pattern);
  for (std::sregex_iterator it(text.begin(), text.end(), name), end; it != end; ++it) out.insert((*it)[1]);
  return out;
}

struct Use {
  std::string where;
  std::set<std::string> args;  // of all the files that fail with this code
};

// fail("a.b", …), Error("a.b", …) and helpers whose name says that they make errors; `args` are the argument
// names of the whole file, since a helper may add some.
std::map<std::string, Use> used_codes(const std::map<std::string, std::string>& files) {
  static const std::regex call(R"x((?:\b\w*(?:fail|[Ee]rror)\w*)\s*[({]\s*"([a-z0-9_]+\.[a-z0-9_]+)")x");
  static const std::regex named(R"x(\{\s*"([a-z_]+)"\s*,)x");
  static const std::regex comment(R"x(//[^\n]*)x");
  std::map<std::string, Use> out;
  for (const auto& [file, content] : files) {
    const std::string code = std::regex_replace(content, comment, "");
    std::set<std::string> args;
    const std::sregex_iterator end;
    for (std::sregex_iterator a(code.begin(), code.end(), named); a != end; ++a) args.insert((*a)[1]);
    for (std::sregex_iterator it(code.begin(), code.end(), call); it != end; ++it) {
      Use& use = out[(*it)[1]];
      use.where = fs::path(file).filename().string();
      use.args.insert(args.begin(), args.end());
    }
  }
  return out;
}

TEST(Messages, EveryCodeOfTheSourcesHasARow) {
  const auto files = sources();
  std::set<std::string> with;  // arguments that are added on the way up
  static const std::regex added(R"x(\bwith\(\s*"([a-z_]+)")x");
  for (const auto& [file, content] : files)
    for (std::sregex_iterator it(content.begin(), content.end(), added), end; it != end; ++it)
      with.insert((*it)[1]);
  const auto used = used_codes(files);
  EXPECT_GT(used.size(), 10U);
  for (const auto& [code, use] : used) {
    const MessageRow* row = nullptr;
    for (const MessageRow& r : catalogue())
      if (r.code == code) row = &r;
    ASSERT_NE(row, nullptr) << "no row for " << code << " of " << use.where;
    for (const std::string& name : placeholders(row->en))
      EXPECT_TRUE(use.args.contains(name) || with.contains(name))
          << code << " (" << use.where << ") does not fill {" << name << "}";
  }
}

TEST(Messages, RowsAreUniqueCompleteAndAgree) {
  std::set<std::string_view> seen;
  for (const MessageRow& row : catalogue()) {
    EXPECT_TRUE(seen.insert(row.code).second) << "two rows for " << row.code;
    EXPECT_FALSE(row.en.empty()) << row.code;
    EXPECT_FALSE(row.zh.empty()) << row.code;
    EXPECT_EQ(placeholders(row.en), placeholders(row.zh)) << row.code;
  }
}

TEST(Messages, NoRowIsLeftOver) {
  std::string all;
  for (const auto& [file, content] : sources()) all += content;
  for (const MessageRow& row : catalogue()) {
    // The texts about a command are named after it.
    static const std::regex of_command(R"(help\.[a-z-]+(\.more)?)");
    if (std::regex_match(std::string(row.code), of_command) || row.code.starts_with("train.key.")) continue;
    EXPECT_NE(all.find('"' + std::string(row.code) + '"'), all.npos) << row.code << " is used nowhere";
  }
}

TEST(Messages, EveryKeyOfATrainingHasItsDescription) {
  std::set<std::string> wanted, found;
  for (const train::KeyInfo& key : train::config_keys()) {
    std::string code = key.name;
    std::replace(code.begin(), code.end(), '.', '_');
    wanted.insert("train.key." + code);
  }
  for (const MessageRow& row : catalogue())
    if (row.code.starts_with("train.key.")) found.insert(std::string(row.code));
  EXPECT_EQ(found, wanted);
}

TEST(Messages, ArgumentsAreFilledOnce) {
  const Error error("file.open", {{"file", "{reason}"}, {"reason", "no {file}"}});
  EXPECT_EQ(message(Lang::en, error), "Cannot open {reason}: no {file}. Check the path and the permissions.");
  EXPECT_EQ(message(Lang::en, Error("file.open", {{"file", "x"}})),
            "Cannot open x: {reason}. Check the path and the permissions.");
  EXPECT_NE(message(Lang::zh, error), message(Lang::en, error));
  Error config("config.unknown_key", {{"key", "k"}});
  config.with("file", "folder");
  EXPECT_TRUE(message(Lang::en, config).starts_with("folder: The model's config"));
}

TEST(Messages, ArgumentsCannotSteerTheTerminal) {
  const Error error("file.open", {{"file", "a\x1b]0;title\x07"}, {"reason", "\x9b\xff\x1b[2Jgone\r\nline"}});
  const std::string said = message(Lang::en, error);
  EXPECT_EQ(std::count_if(said.begin(), said.end(), [](char c) { return c >= 0 && c < ' ' && c != '\n'; }), 0)
      << said;
  EXPECT_NE(said.find("gone\nline"), said.npos) << said;
  Error config("config.unknown_key", {{"key", "k"}});
  config.with("file", "\x1b[2Jfolder");
  EXPECT_EQ(message(Lang::en, config).find('\x1b'), std::string::npos);
}

TEST(Messages, TableCellsAreOneLineOfText) {
  Table table;
  table.columns = {{.head = "name", .right = false, .optional = false},
                   {.head = "licence", .right = false, .optional = false}};
  table.rows = {{"a\x1b[31m", "MIT\nor\telse"}, {"b", "c"}};
  EXPECT_EQ(table_text(table), "name   licence\na[31m  MIT or else\nb      c\n");
}

TEST(Messages, LanguageIsFlagThenVariableThenLocale) {
  for (const char* name : {"QW_LANG", "LC_ALL", "LC_MESSAGES", "LANG"}) ::unsetenv(name);
  EXPECT_EQ(choose_lang(""), Lang::en);
  ::setenv("LANG", "zh_CN.UTF-8", 1);
  EXPECT_EQ(choose_lang(""), Lang::zh);
  ::setenv("LC_ALL", "C.UTF-8", 1);
  EXPECT_EQ(choose_lang(""), Lang::en);
  ::setenv("QW_LANG", "zh", 1);
  EXPECT_EQ(choose_lang(""), Lang::zh);
  EXPECT_EQ(choose_lang("en"), Lang::en);
  ::setenv("QW_LANG", "fr", 1);
  ASSERT_FALSE(choose_lang("").has_value());
  EXPECT_EQ(choose_lang("").error().arg("source"), "QW_LANG");
  EXPECT_EQ(choose_lang("de").error().arg("source"), "--lang");
  for (const char* name : {"QW_LANG", "LC_ALL", "LANG"}) ::unsetenv(name);
}

}  // namespace
}  // namespace qw::apps
