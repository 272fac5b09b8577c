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

}  // namespace
}  // namespace qw::golden
