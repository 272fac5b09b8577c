// The tiny tokenizer of the goldens against HF `tokenizers`: as a folder and as the metadata of a GGUF file.
#include <fstream>

#include "golden/golden.h"
#include "io/checkpoint.h"
#include "text/tokenizer.h"

namespace qw::golden {
namespace {

struct TextCase {
  std::string text, decoded;
  std::vector<int32_t> ids;
};

std::vector<TextCase> text_cases() {
  std::vector<TextCase> out;
  std::ifstream in(data_folder() / manifest()["tokenizer"]["file"].get<std::string>());
  for (std::string line; std::getline(in, line);) {
    const auto json = parse_json(line, "cases.jsonl");
    if (!json) break;
    out.push_back({(*json)["text"].get<std::string>(), (*json)["decoded"].get<std::string>(),
                   (*json)["ids"].get<std::vector<int32_t>>()});
  }
  return out;
}

void expect_cases(const Tokenizer& tokenizer) {
  ASSERT_EQ(text_cases().size(), 20U);
  for (const TextCase& c : text_cases()) {
    EXPECT_EQ(tokenizer.encode(c.text), c.ids) << c.text;
    EXPECT_EQ(tokenizer.decode(c.ids, false), c.decoded);
  }
}

TEST(TokenizerGolden, OfTheFolder) {
  const auto tokenizer = Tokenizer::from_folder(data_folder() / "models" / "qwen2_tied");
  ASSERT_TRUE(tokenizer) << tokenizer.error().debug();
  expect_cases(*tokenizer);
}

// What the apps do with the metadata, for the keys that the converter of llama.cpp writes.
GgufTokenizerData data_of(const GgufTokenizer& t) {
  GgufTokenizerData out;
  out.model = t.model;
  out.pre = t.pre;
  out.tokens.assign(t.tokens.begin(), t.tokens.end());
  out.token_types = t.types;
  out.merges.assign(t.merges.begin(), t.merges.end());
  if (t.eos) out.named_ids.emplace_back("eos_token", *t.eos);
  if (t.padding) out.named_ids.emplace_back("pad_token", *t.padding);
  out.add_bos = t.add_bos;
  out.nfc = t.nfc;
  return out;
}

TEST(TokenizerGolden, OfAGgufFile) {
  const auto checkpoint = open_checkpoint(data_folder() / "gguf" / "qwen2_tied.F32.gguf");
  ASSERT_TRUE(checkpoint) << checkpoint.error().debug();
  ASSERT_TRUE(checkpoint->tokenizer);
  const auto tokenizer = Tokenizer::from_gguf(data_of(*checkpoint->tokenizer));
  ASSERT_TRUE(tokenizer) << tokenizer.error().debug();
  EXPECT_EQ(tokenizer->eos_id(), tokenizer->id_of("<|im_end|>"));
  expect_cases(*tokenizer);
}

}  // namespace
}  // namespace qw::golden
