// Every code point against tests/text/data/unicode_reference.txt, which tools/unicode_tables.py made from the
// reference.
#include "text/unicode.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "text/utf8.h"

namespace qw::text {
namespace {

std::string from_hex(std::istringstream& in) {
  std::string out;
  std::string word;
  while (in >> word && word != "=") utf8_append(out, static_cast<char32_t>(std::stoul(word, nullptr, 16)));
  return out;
}

class Reference : public testing::Test {
 protected:
  void SetUp() override {
    std::ifstream in(QW_SOURCE_DIR "/tests/text/data/unicode_reference.txt");
    ASSERT_TRUE(in);
    for (std::string line; std::getline(in, line);) {
      if (!line.starts_with('#')) lines_.push_back(line);
    }
  }
  // A map of all code points filled from the run lists of the lines that begin with `kind`.
  template <class Value>
  std::vector<uint8_t> runs(const std::string& kind, Value value) const {
    std::vector<uint8_t> out(0x110000);
    for (const std::string& line : lines_) {
      std::istringstream in(line);
      std::string word;
      std::string name;
      in >> word >> name;
      if (word != kind) continue;
      while (in >> word) {
        size_t used = 0;
        const size_t start = std::stoul(word, &used, 16);
        const size_t count = std::stoul(word.substr(used + 1), nullptr, 16);
        for (size_t i = start; i < start + count; ++i) out[i] = static_cast<uint8_t>(out[i] | value(name));
      }
    }
    return out;
  }
  std::vector<std::string> lines_;
};

TEST_F(Reference, ClassOfEveryCodePoint) {
  const std::map<std::string, uint8_t> bits = {{"L", kLetter}, {"N", kNumber}, {"M", kMark},   {"S", kSpace},
                                               {"P", kPunct},  {"W", kWord},   {"D", kNumeric}};
  const std::vector<uint8_t> expected = runs("class", [&](const std::string& name) { return bits.at(name); });
  size_t letters = 0;
  for (char32_t cp = 0; cp <= 0x10FFFF; ++cp) {
    ASSERT_EQ(char_class(cp) & ~kNfcCare, expected[cp]) << std::hex << static_cast<uint32_t>(cp);
    letters += (expected[cp] & kLetter) != 0 ? 1 : 0;
  }
  EXPECT_EQ(letters, 141028u);
  EXPECT_EQ(char_class(0x110000), 0);
}

TEST_F(Reference, CombiningClassOfEveryCodePoint) {
  const std::vector<uint8_t> expected = runs("ccc", [](const std::string& name) { return std::stoi(name); });
  for (char32_t cp = 0; cp <= 0x10FFFF; ++cp) {
    ASSERT_EQ(combining_class(cp), expected[cp]) << std::hex << static_cast<uint32_t>(cp);
  }
}

// Every code point alone, its decomposition, and both behind a letter and before a mark.
TEST_F(Reference, NfcOfEveryCodePoint) {
  std::map<std::string, std::pair<std::string, std::string>> forms;
  for (const std::string& line : lines_) {
    std::istringstream in(line);
    std::string word;
    in >> word;
    if (word != "form") continue;
    const std::string c = from_hex(in);
    const std::string decomposed = from_hex(in);
    forms[c] = {decomposed, from_hex(in)};
  }
  ASSERT_GT(forms.size(), 2000u);
  for (char32_t cp = 0; cp <= 0x10FFFF; ++cp) {
    if (cp >= 0xD800 && cp <= 0xDFFF) continue;
    std::string c;
    utf8_append(c, cp);
    const auto form = forms.find(c);
    if (form == forms.end()) {
      ASSERT_EQ(nfc(c), c) << std::hex << static_cast<uint32_t>(cp);
    } else {
      ASSERT_EQ(nfc(c), form->second.second) << std::hex << static_cast<uint32_t>(cp);
      ASSERT_EQ(nfc(form->second.first), form->second.second) << std::hex << static_cast<uint32_t>(cp);
    }
  }
}

TEST_F(Reference, NfcOfStrings) {
  size_t n = 0;
  for (const std::string& line : lines_) {
    std::istringstream in(line);
    std::string word;
    in >> word;
    if (word != "string") continue;
    const std::string s = from_hex(in);
    const std::string expected = from_hex(in);
    ++n;
    ASSERT_EQ(nfc(s), expected) << line;
    ASSERT_EQ(nfc(expected), expected) << line;
    ASSERT_EQ(nfc("a, b" + s + "c d"), nfc("a, b" + s) + "c d") << line;
  }
  EXPECT_EQ(n, 300u);
}

// Hangul follows a rule; the generator checked that the reference has it for every syllable.
TEST(Nfc, HangulByRule) {
  for (char32_t i = 0; i < 11172; ++i) {
    std::string parts;
    utf8_append(parts, 0x1100 + i / 588);
    utf8_append(parts, 0x1161 + i % 588 / 28);
    if (i % 28 != 0) utf8_append(parts, 0x11A7 + i % 28);
    std::string syllable;
    utf8_append(syllable, 0xAC00 + i);
    ASSERT_EQ(nfc(parts), syllable);
    ASSERT_EQ(nfc(syllable), syllable);
  }
}

}  // namespace
}  // namespace qw::text
