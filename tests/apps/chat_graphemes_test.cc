#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <vector>

#include "apps/chat/graphemes.h"
#include "text/utf8.h"

namespace qw::chat {
namespace {

std::vector<std::string> clusters(std::string_view text) {
  std::vector<std::string> out;
  for (size_t pos = 0; pos < text.size();) {
    const Grapheme g = grapheme_at(text, pos);
    out.emplace_back(text.substr(pos, g.bytes));
    pos += g.bytes;
  }
  return out;
}

struct WidthCase {
  std::string text;
  size_t n_clusters;
  int cells;
};

TEST(ChatGraphemes, ClustersAndCells) {
  const WidthCase cases[] = {
      {"abc", 3, 3},
      {"你好", 2, 4},
      {"e\u0301", 1, 1},
      {"한국", 2, 4},
      {"\u1112\u1161\u11ab", 1, 2},         // conjoining jamo
      {"👩‍🚀", 1, 2},                // ZWJ sequence
      {"👨‍👩‍👧‍👦", 1, 2},  // three joiners
      {"👍🏽", 1, 2},                   // skin tone
      {"🇩🇪🇫🇷", 2, 4},                       // two flags
      {"❤\uFE0F", 1, 2},                    // emoji variation
      {"❤", 1, 1},                          // without
      {"1\uFE0F\u20E3", 1, 2},              // keycap
      {"\u0915\u093F", 1, 2},               // spacing mark takes a cell
      {"ア", 1, 2},
      {"ｱ", 1, 1},
      {"\u200B", 1, 0},
      {"x\u200D👍", 2, 3},  // no pictograph before the joiner: two clusters
  };
  for (const WidthCase& c : cases) {
    EXPECT_EQ(clusters(c.text).size(), c.n_clusters) << c.text;
    EXPECT_EQ(text_cells(c.text), c.cells) << c.text;
  }
}

TEST(ChatGraphemes, BackwardEqualsForward) {
  const std::string text = "a👩‍🚀🇩🇪🇫🇷e\u0301\n你👍🏽\n\nz";
  std::vector<size_t> starts;
  for (size_t pos = 0; pos < text.size(); pos += grapheme_at(text, pos).bytes) starts.push_back(pos);
  size_t pos = text.size();
  while (pos > 0) {
    pos = grapheme_before(text, pos);
    ASSERT_FALSE(starts.empty());
    EXPECT_EQ(pos, starts.back());
    starts.pop_back();
  }
  EXPECT_TRUE(starts.empty());
}

TEST(ChatGraphemes, PrintableDropsWhatCommandsATerminal) {
  EXPECT_EQ(printable("a\x1b[31mb\r\nc\rd\te\x7fz"), "a[31mb\nc\nd\tez");
  EXPECT_EQ(printable("\xC2\x9B"
                      "2J"),
            "2J");  // C1 control sequence introducer
  EXPECT_EQ(printable("\xFFok"), "\uFFFDok");
  EXPECT_EQ(printable("é你👍"), "é你👍");
}

// The Unicode Consortium's own cases, where Debian's package unicode-data is installed.
TEST(ChatGraphemes, UnicodeTestFile) {
  std::ifstream in("/usr/share/unicode/auxiliary/GraphemeBreakTest.txt");
  if (!in) GTEST_SKIP() << "package unicode-data is not installed";
  std::string line;
  int n_cases = 0;
  std::getline(in, line);
  if (line.find("15.0") == line.npos) GTEST_SKIP() << "unicode-data is of another version: " << line;
  while (std::getline(in, line)) {
    line.resize(std::min(line.find('#'), line.size()));
    if (line.empty()) continue;
    std::vector<std::string> expected;
    std::string text;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (word == "÷") {
        expected.emplace_back();
      } else if (word != "×") {
        const auto cp = static_cast<char32_t>(std::stoul(word, nullptr, 16));
        text::utf8_append(expected.back(), cp);
        text::utf8_append(text, cp);
      }
    }
    expected.pop_back();
    EXPECT_EQ(clusters(text), expected) << line;
    ++n_cases;
  }
  EXPECT_GT(n_cases, 500);
}

}  // namespace
}  // namespace qw::chat
