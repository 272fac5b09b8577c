#include <gtest/gtest.h>

#include "apps/chat/keys.h"
#include "base/rng.h"

namespace qw::chat {
namespace {

std::vector<Key> keys_of(std::string_view bytes) {
  KeyDecoder decoder;
  return decoder.feed(bytes);
}

TEST(ChatKeys, SequencesOfTerminals) {
  const std::pair<std::string, Key> cases[] = {
      {"a", {KeyCode::text, "a"}},
      {"你", {KeyCode::text, "你"}},
      {"\r", {KeyCode::enter, ""}},
      {"\n", {KeyCode::newline, ""}},
      {"\x1b\r", {KeyCode::newline, ""}},
      {"\x1b[13;2u", {KeyCode::newline, ""}},
      {"\x1b[27;2;13~", {KeyCode::newline, ""}},
      {"\x1b[13u", {KeyCode::enter, ""}},
      {"\x1bOM", {KeyCode::enter, ""}},
      {"\x1b[D", {KeyCode::left, ""}},
      {"\x1bOC", {KeyCode::right, ""}},
      {"\x1b[1;5D", {KeyCode::word_left, ""}},
      {"\x1b[1;3C", {KeyCode::word_right, ""}},
      {"\x1b"
       "b",
       {KeyCode::word_left, ""}},
      {"\x1b[H", {KeyCode::home, ""}},
      {"\x1b[1~", {KeyCode::home, ""}},
      {"\x1b[4~", {KeyCode::end, ""}},
      {"\x1b[3~", {KeyCode::del, ""}},
      {"\x1b[3;5~", {KeyCode::word_delete, ""}},
      {"\x7f", {KeyCode::backspace, ""}},
      {"\x1b\x7f", {KeyCode::alt_backspace, ""}},
      {"\x17", {KeyCode::word_backspace, ""}},
      {"\x03", {KeyCode::ctrl, "C"}},
      {"\x1f", {KeyCode::ctrl, "_"}},
      {"\x1b[200~a\r\nb\tc\x1b[201~", {KeyCode::paste, "a\nb\tc"}},
      {"\x1b[200~\x1b[31mred\x03\x1b[201~", {KeyCode::paste, "[31mred"}},
  };
  for (const auto& [bytes, key] : cases) {
    const std::vector<Key> keys = keys_of(bytes);
    ASSERT_EQ(keys.size(), 1U) << testing::PrintToString(bytes);
    EXPECT_EQ(keys[0], key) << testing::PrintToString(bytes);
  }
}

TEST(ChatKeys, UnknownSequencesAreNoText) {
  EXPECT_TRUE(keys_of("\x1b[15~").empty());  // F5
  EXPECT_TRUE(keys_of("\x1b[<0;10;10M").size() <= 1);
  EXPECT_TRUE(keys_of("\x1b[I").empty());  // focus in
  EXPECT_TRUE(keys_of("\x1bx").empty());
  const auto after = keys_of("\x1b[15~x");
  ASSERT_EQ(after.size(), 1U);
  EXPECT_EQ(after[0].text, "x");
}

TEST(ChatKeys, LoneEscapeAndTornCodePoint) {
  KeyDecoder decoder;
  EXPECT_TRUE(decoder.feed("\x1b").empty());
  EXPECT_TRUE(decoder.waiting());
  EXPECT_EQ(decoder.flush(), (std::vector<Key>{{KeyCode::escape, ""}}));
  EXPECT_TRUE(decoder.feed("\xE4\xBD").empty());
  EXPECT_EQ(decoder.feed("\xA0"), (std::vector<Key>{{KeyCode::text, "你"}}));
  EXPECT_TRUE(decoder.feed("\x1b[200~half").empty());
  EXPECT_FALSE(decoder.waiting());
  EXPECT_TRUE(decoder.flush().empty());
  EXPECT_EQ(decoder.feed(" done\x1b[201~"), (std::vector<Key>{{KeyCode::paste, "half done"}}));
}

// Neighbouring runs of text join, so that cuts may only change how text is divided.
std::vector<Key> joined(std::vector<Key> keys) {
  std::vector<Key> out;
  for (Key& k : keys) {
    if (k.code == KeyCode::text && !out.empty() && out.back().code == KeyCode::text)
      out.back().text += k.text;
    else
      out.push_back(std::move(k));
  }
  return out;
}

TEST(ChatKeys, AnyCutGivesTheSameKeys) {
  const std::string bytes =
      "hé你\x1b[D\x1b[1;5C👩‍🚀\r\x1b[200~x\ny\x1b[20\x1b[201~\x1b\r\x03z\xFF\x1b[3~\x1bOA\x1b["
      "99999999;"
      "9z!";
  const std::vector<Key> whole = joined(keys_of(bytes));
  const Rng rng(7);
  uint64_t draw = 0;
  for (int trial = 0; trial < 500; ++trial) {
    KeyDecoder decoder;
    std::vector<Key> keys;
    for (size_t pos = 0; pos < bytes.size();) {
      const size_t n = std::min<size_t>(bytes.size() - pos, 1 + rng.below(6, draw++));
      for (Key& k : decoder.feed(std::string_view(bytes).substr(pos, n))) keys.push_back(std::move(k));
      pos += n;
    }
    ASSERT_EQ(joined(keys), whole) << trial;
  }
}

}  // namespace
}  // namespace qw::chat
