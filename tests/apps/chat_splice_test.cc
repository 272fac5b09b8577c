#include <gtest/gtest.h>

#include "apps/chat/splice.h"
#include "tests/text/small_tokenizer.h"

namespace qw::chat {
namespace {

class ChatSplice : public testing::Test {
 protected:
  Tokenizer tokenizer_ = Tokenizer::from_gguf(small_gguf()).value();
  const int32_t end_ = tokenizer_.id_of("<|end|>").value();
  const int32_t start_ = tokenizer_.id_of("<|start|>").value();

  // Byte by byte, as a model may generate what the tokenizer would have merged.
  std::vector<int32_t> spelled(std::string_view text) {
    std::vector<int32_t> ids;
    for (const char c : text) {
      const auto one = tokenizer_.encode(std::string_view(&c, 1));
      ids.insert(ids.end(), one.begin(), one.end());
    }
    return ids;
  }
  std::vector<int32_t> with(std::vector<int32_t> ids, std::string_view text) {
    const auto more = tokenizer_.encode(text);
    ids.insert(ids.end(), more.begin(), more.end());
    return ids;
  }
};

TEST_F(ChatSplice, PastTokensStayAsGenerated) {
  std::vector<int32_t> known = {start_};
  for (const int32_t id : spelled("hello")) known.push_back(id);
  known.push_back(end_);
  const std::string rendered = "<|start|>hello<|end|><|start|>hello";
  ASSERT_NE(tokenizer_.encode("hello").size(), spelled("hello").size());
  const SplicedPrompt p = splice_prompt(tokenizer_, known, rendered);
  EXPECT_EQ(p.n_kept, known.size());
  EXPECT_EQ(p.ids, with(known, "<|start|>hello"));
  EXPECT_EQ(tokenizer_.decode(p.ids, false), rendered);
}

TEST_F(ChatSplice, AnAnswerCutShortKeepsItsTokensBeforeTheEndThatTheTemplateAdds) {
  std::vector<int32_t> known = {start_};
  for (const int32_t id : spelled("hell")) known.push_back(id);
  const SplicedPrompt p = splice_prompt(tokenizer_, known, "<|start|>hell<|end|>he");
  EXPECT_EQ(p.n_kept, known.size());
  EXPECT_EQ(p.ids, with(known, "<|end|>he"));
}

TEST_F(ChatSplice, NoSeamInsideText) {
  std::vector<int32_t> known = {start_};
  for (const int32_t id : spelled("hell")) known.push_back(id);
  const SplicedPrompt p = splice_prompt(tokenizer_, known, "<|start|>hello<|end|>");
  EXPECT_EQ(p.n_kept, 1U);
  EXPECT_EQ(p.ids, tokenizer_.encode("<|start|>hello<|end|>"));
}

TEST_F(ChatSplice, WhereTheTextDiffersItIsTokenisedAnew) {
  const std::vector<int32_t> known = tokenizer_.encode("<|start|>he<|end|><|start|>hello<|end|>");
  const std::string rendered = "<|start|>he<|end|><|start|>hey<|end|><|start|>";
  const SplicedPrompt p = splice_prompt(tokenizer_, known, rendered);
  EXPECT_EQ(p.n_kept, 4U);
  EXPECT_EQ(p.ids, tokenizer_.encode(rendered));
  EXPECT_EQ(splice_prompt(tokenizer_, {}, rendered).ids, tokenizer_.encode(rendered));
  EXPECT_EQ(splice_prompt(tokenizer_, known, "").n_kept, 0U);
  EXPECT_EQ(splice_prompt(tokenizer_, std::vector<int32_t>{263, 1}, rendered).n_kept, 0U);  // padding
}

}  // namespace
}  // namespace qw::chat
