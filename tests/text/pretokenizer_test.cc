// The rules on cases worked out by hand from the regexes; golden_test.cc compares them with the reference on
// many texts.
#include "text/pretokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "text/utf8.h"

namespace qw::text {
namespace {

using Pieces = std::vector<std::string>;

Pieces pieces(std::vector<SplitStep> steps, std::string_view text) {
  Pieces out;
  PreTokenizer(std::move(steps)).for_each(text, [&](std::string_view piece) { out.emplace_back(piece); });
  return out;
}
Pieces pieces(SplitRule rule, std::string_view text) {
  return pieces(std::vector<SplitStep>{{rule}}, text);
}

TEST(PreTokenizer, Gpt2) {
  EXPECT_EQ(pieces(SplitRule::gpt2, "it's I'M 12a  b\n c"),
            (Pieces{"it", "'s", " I", "'", "M", " 12", "a", " ", " b", "\n", " c"}));
  EXPECT_EQ(pieces(SplitRule::gpt2, "a,b?! \n\n"), (Pieces{"a", ",", "b", "?!", " \n\n"}));
}

TEST(PreTokenizer, Qwen2) {
  EXPECT_EQ(pieces(SplitRule::qwen2, "it's I'M 12a  b\n c"),
            (Pieces{"it", "'s", " I", "'M", " ", "1", "2", "a", " ", " b", "\n", " c"}));
  EXPECT_EQ(pieces(SplitRule::qwen2, "x='\xC5\xBFt'LL \t\n \n  (foo)!\n\n y"),
            (Pieces{"x", "='", "\xC5\xBFt", "'LL", " \t\n \n", " ", " (", "foo", ")!\n\n", " y"}));
  EXPECT_EQ(pieces(SplitRule::qwen2, "'\xC5\xBFt"), (Pieces{"'\xC5\xBF", "t"}));
  EXPECT_EQ(pieces(SplitRule::qwen2, "\r\na"), (Pieces{"\r\n", "a"}));
}

TEST(PreTokenizer, Llama3GroupsDigits) {
  EXPECT_EQ(pieces(SplitRule::llama3, "1234567 89"), (Pieces{"123", "456", "7", " ", "89"}));
}

TEST(PreTokenizer, Qwen35KeepsMarksInWords) {
  const std::string mark = "\xCC\x81";  // U+0301
  EXPECT_EQ(pieces(SplitRule::qwen35, "e" + mark + "a !" + mark + "b"),
            (Pieces{"e" + mark + "a", " !", mark + "b"}));
  EXPECT_EQ(pieces(SplitRule::qwen2, "e" + mark + "a"), (Pieces{"e", mark + "a"}));
}

TEST(PreTokenizer, StepsSplitThePiecesOfTheStepBefore) {
  EXPECT_EQ(pieces({{SplitRule::digits_each}, {SplitRule::gpt2}}, "a 12 b"),
            (Pieces{"a", " ", "1", "2", " b"}));
  EXPECT_EQ(
      pieces(
          {{SplitRule::punct_runs}, {SplitRule::gpt2}, {SplitRule::number_runs}, {SplitRule::three_digits}},
          "x 12345==y."),
      (Pieces{"x", " ", "123", "45", "==", "y", "."}));
  EXPECT_EQ(pieces({{SplitRule::gpt2, true}}, "a b"), (Pieces{" a", " b"}));
  EXPECT_EQ(pieces({{SplitRule::gpt2, true}}, " a"), (Pieces{" a"}));
}

TEST(PreTokenizer, OnlyExactRegexesAreKnown) {
  EXPECT_EQ(rule_of_regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"),
            SplitRule::gpt2);
  EXPECT_FALSE(rule_of_regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))"));
}

// Every rule covers every text with pieces that are not empty and end between characters.
TEST(PreTokenizer, PiecesCoverAnyText) {
  std::mt19937 rng(3);
  const char32_t pool[] = {'a', 'Z', '0',   '9',   ' ',    '\n', '\r',   '\t',    '\'',     's',  'l',
                           '!', '+', 0x301, 0x17F, 0x4E2D, 0xB2, 0x2028, 0x11DE0, 0x10FFFF, 0x85, 0xA0};
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (size_t n = rng() % 20 + 1; n > 0; --n) utf8_append(text, pool[rng() % std::size(pool)]);
    for (int rule = 0; rule <= static_cast<int>(SplitRule::three_digits); ++rule) {
      std::string joined;
      for (const std::string& piece : pieces(static_cast<SplitRule>(rule), text)) {
        ASSERT_FALSE(piece.empty());
        ASSERT_TRUE(utf8_valid(piece));
        joined += piece;
      }
      ASSERT_EQ(joined, text);
    }
  }
}

}  // namespace
}  // namespace qw::text
