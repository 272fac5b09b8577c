// The program as a whole: help, version, languages, exit statuses, streams.
#include <gtest/gtest.h>

#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

size_t n_lines(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(Program, VersionIsOneLine) {
  const Ran ran = qw({"--version"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_TRUE(ran.out.starts_with("qw 0.1.0")) << ran.out;
  EXPECT_EQ(n_lines(ran.out), 1U);
  EXPECT_EQ(ran.err, "");
}

TEST(Program, HelpGoesToStdoutInBothLanguages) {
  const Ran en = qw({"--help"}), zh = qw({"--lang", "zh", "--help"});
  EXPECT_EQ(en.status, 0);
  EXPECT_EQ(zh.status, 0);
  EXPECT_TRUE(en.out.starts_with("Usage: qw COMMAND"));
  EXPECT_TRUE(zh.out.starts_with("用法"));
  EXPECT_EQ(en.err + zh.err, "");
}

TEST(Program, EveryCommandHasAHelpPage) {
  const std::string page = qw({"--help"}).out;
  size_t n = 0;
  for (const char* command : {"run", "chat", "tokenize", "render", "logits", "perplexity", "bench", "info"}) {
    if (page.find("\n  " + std::string(command)) == page.npos) continue;
    ++n;
    for (const char* lang : {"en", "zh"}) {
      const Ran ran = qw({command, "--help", "--lang", lang});
      EXPECT_EQ(ran.status, 0) << command;
      EXPECT_EQ(ran.err, "");
      EXPECT_NE(ran.out.find(std::string("qw ") + command), ran.out.npos);
      EXPECT_EQ(ran.out.find("help."), ran.out.npos) << "a text without a row: " << ran.out;
      for (const char* option : {"--threads", "--quiet", "--lang", "--json"})
        EXPECT_NE(ran.out.find(option), ran.out.npos) << command << " " << option;
    }
  }
  EXPECT_GT(n, 0U);
}

TEST(Program, WrongUseIsStatus2WithARemedy) {
  for (const std::vector<std::string>& args : {std::vector<std::string>{},
                                               {"nothing"},
                                               {"info", "--nothing"},
                                               {"info", "--threads", "x"},
                                               {"info", "--lang", "fr"},
                                               {"run"},
                                               {"info", "a", "b"}}) {
    const Ran ran = qw(args);
    EXPECT_EQ(ran.status, 2) << ::testing::PrintToString(args);
    EXPECT_EQ(ran.out, "");
    EXPECT_TRUE(ran.err.starts_with("qw: ")) << ran.err;
    EXPECT_LE(n_lines(ran.err), 2U) << ran.err;
  }
  EXPECT_EQ(qw({"info"}, {.env = {{"QW_LANG", "fr"}}}).status, 2);
}

TEST(Program, LanguageOfErrors) {
  const std::string en = qw({"nothing"}).err;
  EXPECT_EQ(qw({"nothing"}, {.env = {{"QW_LANG", "en"}, {"LC_ALL", "zh_CN.UTF-8"}}}).err, en);
  EXPECT_NE(qw({"nothing"}, {.env = {{"LC_ALL", "zh_CN.UTF-8"}}}).err, en);
  EXPECT_NE(qw({"--lang=zh", "nothing"}, {.env = {{"QW_LANG", "en"}}}).err, en);
}

TEST(Program, OutputThatCannotBeWrittenIsAnError) {
  const Ran full = qw({"--help"}, {.out_path = "/dev/full"});
  EXPECT_EQ(full.status, 1);
  EXPECT_NE(full.err.find("No space left"), full.err.npos) << full.err;
  const Ran gone = qw({"--help"}, {.close_stdout = true});
  EXPECT_EQ(gone.status, 1);
  EXPECT_NE(gone.err.find("Broken pipe"), gone.err.npos) << gone.err;
}

TEST(Program, AModelThatIsNotThere) {
  const TempFolder home;
  home.file("models/known.gguf", "");
  const Ran name = qw({"tokenize", "nothing"}, {.env = {{"QW_HOME", home.path().string()}}});
  EXPECT_EQ(name.status, 1);
  EXPECT_NE(name.err.find("known.gguf"), name.err.npos) << name.err;
  const Ran path = qw({"tokenize", "./nothing"});
  EXPECT_EQ(path.status, 1);
  EXPECT_EQ(n_lines(path.err), 1U) << path.err;
}

}  // namespace
}  // namespace qw::e2e
