#include "apps/tokenizer_files.h"

#include <gtest/gtest.h>

#include "tests/text/small_tokenizer.h"

namespace qw::apps {
namespace {

TEST(TokenizerFiles, TokensAreComparedAsFarAsBothHaveThem) {
  const Tokenizer small = Tokenizer::from_gguf(small_gguf()).value();
  EXPECT_EQ(first_other_token(small, small), std::nullopt);
  GgufTokenizerData data = small_gguf();
  data.tokens.push_back("<|more|>");
  data.token_types.push_back(3);
  EXPECT_EQ(first_other_token(small, Tokenizer::from_gguf(data).value()), std::nullopt);
  EXPECT_EQ(first_other_token(Tokenizer::from_gguf(data).value(), small), std::nullopt);
  data.tokens[261] = "<|other|>";
  data.tokens[262] = "<other>";
  EXPECT_EQ(first_other_token(small, Tokenizer::from_gguf(data).value()), 261);
}

}  // namespace
}  // namespace qw::apps
