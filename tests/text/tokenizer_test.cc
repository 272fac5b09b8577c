// The GGUF form, refusals, and contracts that need no reference; what the ids must be is golden_test.cc.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/text/small_tokenizer.h"
#include "text/utf8.h"

namespace qw {
namespace {

using Ids = std::vector<int32_t>;

TEST(GgufTokenizerData, EncodesAndDecodes) {
  const Tokenizer t = *Tokenizer::from_gguf(small_gguf());
  EXPECT_EQ(t.encode("hello hell"), (Ids{259, ' ', 258}));
  EXPECT_EQ(t.encode("<|end|>he<think>"), (Ids{261, 256, 262}));
  EXPECT_EQ(t.encode("he", {.add_bos = true}), (Ids{264, 256}));
  EXPECT_EQ(t.decode(Ids{261, 259, 262}, false), "<|end|>hello<think>");
  EXPECT_EQ(t.decode(Ids{261, 259, 262}, true), "hello<think>");
  EXPECT_EQ(t.decode(Ids{263, -1, 100000, 'x'}, false), "x");
  EXPECT_EQ(t.decode(Ids{0xE2, 0x82, 0xAC, 0xE2, 0x82, 'x', 0xFF}, false), "\u20AC\uFFFDx\uFFFD");
  EXPECT_EQ(t.vocab_size(), 265);
  EXPECT_FALSE(t.has_token(263));
  EXPECT_TRUE(t.is_special(261));
  EXPECT_FALSE(t.is_special(262));
  EXPECT_EQ(t.id_of("hello"), 259);
  EXPECT_EQ(t.id_of("\xC4\xA0h"), 260);
  EXPECT_EQ(t.token_bytes(260), " h");
  EXPECT_EQ(t.token_text(0xE2), "\uFFFD");
  EXPECT_EQ(t.bos_id(), 264);
  EXPECT_EQ(t.eos_id(), 261);
  EXPECT_FALSE(t.pad_id());
  EXPECT_FALSE(t.adds_bos());
  EXPECT_EQ(t.named_token("eos_token"), "<|end|>");
}

TEST(GgufTokenizerData, SpecialTokensCanBeText) {
  const Tokenizer t = *Tokenizer::from_gguf(small_gguf());
  EXPECT_EQ(t.encode("<|end|><think>", {.parse_special = false}),
            (Ids{'<', '|', 'e', 'n', 'd', '|', '>', 262}));
}

TEST(GgufTokenizerData, InvalidUtf8IsReplacedFirst) {
  const Tokenizer t = *Tokenizer::from_gguf(small_gguf());
  EXPECT_EQ(t.encode("a\xFFz"), t.encode("a\uFFFDz"));
  EXPECT_EQ(t.encode("a\xE2\x82"), t.encode("a\uFFFD"));
}

TEST(GgufTokenizerData, NfcUnlessTheFileSaysFalse) {
  GgufTokenizerData g = small_gguf();
  EXPECT_EQ(Tokenizer::from_gguf(g)->encode("e\u0301"), (Ids{0xC3, 0xA9}));
  g.nfc = false;
  EXPECT_EQ(Tokenizer::from_gguf(g)->encode("e\u0301"), (Ids{'e', 0xCC, 0x81}));
  g.pre = "gpt-2";
  g.nfc.reset();
  EXPECT_EQ(Tokenizer::from_gguf(g)->encode("e\u0301"), (Ids{'e', 0xCC, 0x81}));
}

TEST(GgufTokenizerData, LlamaAddsBosUnlessTheFileSaysFalse) {
  GgufTokenizerData g = small_gguf();
  g.pre = "llama-bpe";
  EXPECT_TRUE(Tokenizer::from_gguf(g)->adds_bos());
  g.add_bos = false;
  EXPECT_FALSE(Tokenizer::from_gguf(g)->adds_bos());
}

void expect_code(GgufTokenizerData g, std::string_view code) {
  const auto t = Tokenizer::from_gguf(std::move(g));
  ASSERT_FALSE(t) << code;
  EXPECT_EQ(t.error().code(), code);
}

TEST(GgufTokenizerData, RefusesByName) {
  GgufTokenizerData g = small_gguf();
  g.model = "llama";
  expect_code(g, "text.gguf_model");
  g = small_gguf();
  g.pre = "tekken";
  expect_code(g, "text.gguf_pre");
  g = small_gguf();
  g.token_types.pop_back();
  expect_code(g, "text.gguf_count");
  g = small_gguf();
  g.tokens.clear();
  expect_code(g, "text.gguf_count");
  g = small_gguf();
  g.merges.push_back("nospace");
  expect_code(g, "text.bad_merge");
  g = small_gguf();
  g.merges.push_back("z z");
  expect_code(g, "text.merge_unknown");
  g = small_gguf();
  g.named_ids = {{"eos_token", 100000}};
  expect_code(g, "text.gguf_named_id");
  g = small_gguf();
  g.add_bos = true;
  g.named_ids.clear();
  expect_code(g, "text.no_bos");
  g = small_gguf();
  g.tokens[300 % 256] = g.tokens[5];
  expect_code(g, "text.bad_id");
}

// Any bytes encode; decoding gives back the text as from_utf8_lossy has it, since this tokenizer changes
// nothing else.
TEST(Tokenizer, RandomBytesRoundTrip) {
  GgufTokenizerData g = small_gguf();
  g.nfc = false;
  const Tokenizer t = *Tokenizer::from_gguf(std::move(g));
  std::mt19937 rng(11);
  for (int i = 0; i < 5000; ++i) {
    std::string s(rng() % 200, '\0');
    const bool texty = i % 2 == 0;
    for (char& c : s) c = static_cast<char>(texty ? "hel o<|end>tkri'S\n12"[rng() % 20] : rng());
    const Ids ids = t.encode(s);
    ASSERT_EQ(t.decode(ids, false), text::utf8_lossy(s));
    Ids wild(rng() % 20);
    for (int32_t& id : wild) id = static_cast<int32_t>(rng() % 300);
    ASSERT_TRUE(text::utf8_valid(t.decode(wild, i % 3 == 0)));
  }
}

TEST(Tokenizer, ManyThreadsGetTheSameIds) {
  const Tokenizer t = *Tokenizer::from_gguf(small_gguf());
  std::string s;
  for (int i = 0; i < 2000; ++i) s += i % 3 == 0 ? "hello " : i % 3 == 1 ? "hell, he " : "shell\n";
  const Tokenizer fresh = *Tokenizer::from_gguf(small_gguf());
  const Ids expected = t.encode(s);
  std::vector<Ids> got(4);
  {
    std::vector<std::jthread> threads;
    for (Ids& ids : got) threads.emplace_back([&ids, &fresh, &s] { ids = fresh.encode(s); });
  }
  for (const Ids& ids : got) EXPECT_EQ(ids, expected);
}

}  // namespace
}  // namespace qw
