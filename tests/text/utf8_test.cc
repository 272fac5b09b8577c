#include "text/utf8.h"

#include <gtest/gtest.h>

#include <random>

namespace qw::text {
namespace {

const std::string kBad = "\xEF\xBF\xBD";

std::string times(const std::string& s, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += s;
  return out;
}

// The Unicode Standard 16, section 3.9, tables 3-8 to 3-11: the examples of "substitution of maximal
// subparts".
TEST(Utf8, LossyFollowsTheStandardsTables) {
  EXPECT_EQ(utf8_lossy("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), times(kBad, 8) + "A");
  EXPECT_EQ(utf8_lossy("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), times(kBad, 8) + "A");
  EXPECT_EQ(utf8_lossy("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), times(kBad, 5) + "A" + times(kBad, 2) + "B");
  EXPECT_EQ(utf8_lossy("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), times(kBad, 4) + "A");
}

TEST(Utf8, IncompleteEndsAreSaid) {
  EXPECT_TRUE(utf8_step("\xE2\x82").incomplete);
  EXPECT_EQ(utf8_step("\xE2\x82").length, 2);
  EXPECT_FALSE(utf8_step("\xE2\x28").incomplete);
  EXPECT_FALSE(utf8_step("\xFF").incomplete);
  EXPECT_EQ(utf8_lossy("abcdefghij\xE2\x82"), "abcdefghij" + kBad);
}

TEST(Utf8, EveryScalarValueSurvives) {
  for (char32_t cp = 0; cp <= 0x10FFFF; ++cp) {
    if (cp >= 0xD800 && cp <= 0xDFFF) continue;
    std::string s;
    utf8_append(s, cp);
    const Utf8Step step = utf8_step(s);
    ASSERT_TRUE(step.valid);
    ASSERT_EQ(step.cp, cp);
    ASSERT_EQ(static_cast<size_t>(step.length), s.size());
    const char* p = s.data();
    ASSERT_EQ(utf8_next(p), cp);
    ASSERT_EQ(p, s.data() + s.size());
  }
}

TEST(Utf8, LossyIsValidAndIdempotentOnRandomBytes) {
  std::mt19937 rng(5);
  for (int i = 0; i < 20000; ++i) {
    std::string s(rng() % 24, '\0');
    for (char& c : s) c = static_cast<char>(rng() % 3 == 0 ? rng() : rng() % 64 + 0xC0);
    const std::string once = utf8_lossy(s);
    ASSERT_TRUE(utf8_valid(once));
    ASSERT_EQ(utf8_lossy(once), once);
    ASSERT_EQ(utf8_valid(s), once == s);
  }
}

}  // namespace
}  // namespace qw::text
