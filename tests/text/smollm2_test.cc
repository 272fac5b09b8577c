// The tokenizer in the metadata of the real small model, where it is present: shared/models/README.md.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/env.h"
#include "base/json.h"
#include "io/gguf/tokenizer.h"
#include "text/tokenizer.h"

namespace qw {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

fs::path models_folder() {
  const auto shared = env("QW_SHARED");
  return (shared ? fs::path(*shared) : fs::path(QW_SOURCE_DIR) / "../shared") / "models";
}

TEST(SmolLm2, ConversationsEqualTheReference) {
  const fs::path model = models_folder() / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!fs::exists(model))
    GTEST_SKIP() << model << " is not here; set QW_SHARED to the folder that holds models/.";
  const auto file = GgufFile::open(model);
  ASSERT_TRUE(file) << file.error().debug();
  const auto stored = read_gguf_tokenizer(*file);
  ASSERT_TRUE(stored && *stored);
  const GgufTokenizer& s = **stored;
  GgufTokenizerData data;
  data.file = model.string();
  data.model = s.model;
  data.pre = s.pre;
  data.tokens.assign(s.tokens.begin(), s.tokens.end());
  data.token_types = s.types;
  data.merges.assign(s.merges.begin(), s.merges.end());
  data.named_ids = {{"bos_token", s.bos.value()}, {"eos_token", s.eos.value()}};
  data.add_bos = s.add_bos;
  const auto t = Tokenizer::from_gguf(std::move(data));
  ASSERT_TRUE(t) << t.error().debug();
  EXPECT_FALSE(t->adds_bos());
  std::ifstream in(models_folder() / "smollm2-reference.jsonl");
  int n = 0;
  for (std::string line; std::getline(in, line); ++n) {
    const Json c = *parse_json(line, "smollm2-reference.jsonl");
    EXPECT_EQ(t->encode(c["rendered"].get<std::string>()), c["ids"].get<Ids>()) << c["rendered"];
    EXPECT_EQ(t->decode(c["greedy"].get<Ids>(), false), c["text"]);
  }
  EXPECT_EQ(n, 11);
}

}  // namespace
}  // namespace qw
