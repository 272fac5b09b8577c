// qwen.tiktoken, the vocabulary of the original Qwen: ids of PyPI's tiktoken for a small rank file of the
// same form (tools/tiktoken_goldens.py), the chat format of its code, and what is refused.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/json.h"
#include "base/mmap.h"
#include "text/chat_renderer.h"
#include "text/tokenizer.h"
#include "text/tokenizer_export.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

fs::path data() {
  return fs::path(QW_SOURCE_DIR) / "tests" / "text" / "data" / "tiktoken";
}

class Tiktoken : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("qw_tiktoken_" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::copy_file(data() / "qwen.tiktoken", folder_ / "qwen.tiktoken");
    put("tokenizer_config.json", R"({"tokenizer_class": "QWenTokenizer", "model_max_length": 8192})");
    put("generation_config.json", R"({"chat_format": "chatml", "eos_token_id": 151643})");
  }
  void TearDown() override { fs::remove_all(folder_); }
  void put(const char* name, const std::string& content) {
    ASSERT_TRUE(write_file_atomic(folder_ / name, content));
  }
  Tokenizer open() {
    auto t = Tokenizer::from_folder(folder_);
    EXPECT_TRUE(t) << t.error().debug();
    return *t;
  }
  std::string rendered(const Tokenizer& t, const std::string& object) {
    const auto renderer = ChatRenderer::create(t.chat_templates(), t.named_tokens());
    EXPECT_TRUE(renderer) << renderer.error().debug();
    const auto text = renderer->render_json(object, {});
    EXPECT_TRUE(text) << text.error().debug();
    return text ? text->text : "";
  }

  fs::path folder_;
};

TEST_F(Tiktoken, GivesTheIdsOfTiktoken) {
  const Tokenizer folder = open();
  const auto exported = export_to_gguf(folder);
  ASSERT_TRUE(exported) << exported.error().debug();
  EXPECT_EQ(exported->pre, "qwen2");
  const auto gguf = Tokenizer::from_gguf(*exported);
  ASSERT_TRUE(gguf) << gguf.error().debug();
  const auto content = read_file(data() / "cases.jsonl");
  ASSERT_TRUE(content);
  size_t n = 0;
  for (size_t at = 0; at < content->size(); ++n) {
    const size_t end = content->find('\n', at);
    const auto line = parse_json(std::string_view(*content).substr(at, end - at), "cases.jsonl");
    ASSERT_TRUE(line);
    at = end + 1;
    const auto text = (*line)["text"].get<std::string>();
    const auto want = (*line)["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(folder.encode(text), want) << text;
    // A GGUF file cannot say that special tokens are looked for in the normalised text.
    if (text.find("\u0338") == std::string::npos) {
      EXPECT_EQ(gguf->encode(text), want) << text;
    }
  }
  EXPECT_GT(n, 100U);
}

TEST_F(Tiktoken, KnowsTheSpecialTokens) {
  const Tokenizer t = open();
  EXPECT_EQ(t.id_of("<|endoftext|>"), 640);
  EXPECT_EQ(t.id_of("<|im_start|>"), 641);
  EXPECT_EQ(t.id_of("<|extra_204|>"), 640 + 3 + 204);
  EXPECT_EQ(t.vocab_size(), 640 + 208);
  EXPECT_EQ(t.eos_id(), 640);
  EXPECT_TRUE(t.is_special(645));
  EXPECT_FALSE(t.adds_bos());
}

TEST_F(Tiktoken, WritesTheChatFormatOfItsCode) {
  const Tokenizer t = open();
  EXPECT_EQ(
      rendered(
          t,
          R"({"messages": [{"role": "user", "content": "Hi"}], "kwargs": {"add_generation_prompt": true}})"),
      "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
      "<|im_start|>assistant\n");
  EXPECT_EQ(
      rendered(t, R"({"messages": [{"role": "system", "content": ""}, {"role": "user", "content": "a"},
                            {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]})"),
      "<|im_start|>system\n<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
      "<|im_start|>user\nc<|im_end|>");
}

// parse_messages of openai_api.py, QwenLM/Qwen: a call, its observation, and the next thought.
TEST_F(Tiktoken, WritesReActWhereThereAreTools) {
  const std::string tools =
      R"("tools": [{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"a": 1}}}])";
  const std::string text = rendered(
      open(), R"({"messages": [{"role": "user", "content": "1+2?"}, {"role": "assistant", "content": "I add.",
        "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}]}, {"role": "tool", "content": "3"}], )" +
                  tools + R"(, "kwargs": {"add_generation_prompt": true}})");
  EXPECT_NE(
      text.find("following APIs:\n\nadd: Call this tool to interact with the add API. What is the add API "
                "useful for? Adds. Parameters: {\"a\": 1}\n\nUse the following format:"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("should be one of [add]\nAction Input"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with(
      "Begin!\n\nQuestion: 1+2?<|im_end|>\n<|im_start|>assistant\nThought: I add.\nAction: add\n"
      "Action Input: {\"a\": 1}\nObservation: 3\nThought:"))
      << text;
}

TEST_F(Tiktoken, BaseModelsHaveNoChatFormat) {
  put("generation_config.json", R"({"chat_format": "raw", "eos_token_id": 151643})");
  EXPECT_TRUE(open().chat_templates().empty());
}

TEST_F(Tiktoken, RefusesLinesThatAreNoRanks) {
  const auto refused = [&](const std::string& content, const char* line) {
    put("qwen.tiktoken", content);
    const auto t = Tokenizer::from_folder(folder_);
    ASSERT_FALSE(t) << content;
    EXPECT_EQ(t.error().code(), "text.bad_rank") << t.error().debug();
    EXPECT_EQ(t.error().arg("line"), line) << content;
  };
  refused("IQ== 0\nIg== 2\n", "2");  // a gap
  refused("IQ== 0\nIQ== 1\n", "2");  // twice
  refused("IQ= 0\n", "1");           // no base64
  refused("I!== 0\n", "1");
  refused("IQ==\n", "1");
  refused("IQ== 0x\n", "1");
  refused(" 0\n", "1");
}

}  // namespace
}  // namespace qw
