#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/text/small_tokenizer.h"
#include "text/utf8.h"

namespace qw {
namespace {

using Ids = std::vector<int32_t>;

TEST(Detokenizer, HoldsBackHalfCharacters) {
  Detokenizer d(*Tokenizer::from_gguf(small_gguf()), false);
  EXPECT_EQ(d.push('a'), "a");
  EXPECT_EQ(d.push(0xE2), "");
  EXPECT_EQ(d.push(0x82), "");
  EXPECT_EQ(d.push(0xAC), "\u20AC");
  EXPECT_EQ(d.push(0xF0), "");
  EXPECT_EQ(d.push('b'), "\uFFFDb");
  EXPECT_EQ(d.push(0xF0), "");
  EXPECT_EQ(d.flush(), "\uFFFD");
  EXPECT_EQ(d.flush(), "");
  EXPECT_EQ(d.push('c'), "c");
}

TEST(Detokenizer, SkipsSpecialTokensButThoseToKeep) {
  const Tokenizer t = *Tokenizer::from_gguf(small_gguf());
  Detokenizer d(t, true);
  EXPECT_EQ(d.push(261), "");
  Detokenizer keeps(t, true, {261});
  EXPECT_EQ(keeps.push(261), "<|end|>");
  EXPECT_EQ(keeps.push(264), "");
}

// Random ids, most of them bytes, so that sequences of every kind of damage occur.
TEST(Detokenizer, TogetherItIsTheDecodingOfTheWhole) {
  const Tokenizer t = *Tokenizer::from_gguf(small_gguf());
  std::mt19937 rng(17);
  const int32_t pool[] = {0xF0, 0x9F, 0x98, 0x80, 0xE2, 0x82, 0xAC, 0xC3, 0xA9,
                          0xED, 0xA0, 0xF4, 0x90, 0xFF, 'a',  259,  261,  262};
  for (int i = 0; i < 50000; ++i) {
    Ids ids(rng() % 12);
    for (int32_t& id : ids)
      id = i % 4 == 0 ? static_cast<int32_t>(rng() % 270) - 2 : pool[rng() % std::size(pool)];
    const bool skip = i % 2 == 0;
    Detokenizer d(t, skip);
    std::string joined;
    for (const int32_t id : ids) {
      const std::string piece = d.push(id);
      ASSERT_TRUE(text::utf8_valid(piece));
      joined += piece;
    }
    joined += d.flush();
    ASSERT_EQ(joined, t.decode(ids, skip));
  }
}

}  // namespace
}  // namespace qw
