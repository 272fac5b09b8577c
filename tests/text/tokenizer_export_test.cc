// A tokenizer exported for GGUF and loaded from that form says the same, of every family.
#include "text/tokenizer_export.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mmap.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

const char* const kTexts[] = {
    "Hello, world! It's 12345 o'clock.", "  two  spaces\n\n\ttabs", "naïve café 你好，世界 😀",
    "<|im_start|>user\nHi<|im_end|>",    "<think>x</think>",        ""};

// The same through the files of a folder.
void expect_same_in_folder(const Tokenizer& first) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("qw_tokenizer_files_{}", ::getpid());
  fs::create_directories(folder);
  const auto files = export_to_folder(first);
  ASSERT_TRUE(files) << files.error().debug();
  for (const auto& [name, content] : *files) ASSERT_TRUE(write_file_atomic(folder / name, content));
  const auto second = Tokenizer::from_folder(folder);
  ASSERT_TRUE(second) << second.error().debug();
  EXPECT_EQ(second->vocab_size(), first.vocab_size());
  EXPECT_EQ(second->eos_id(), first.eos_id());
  EXPECT_EQ(second->bos_id(), first.bos_id());
  EXPECT_EQ(second->adds_bos(), first.adds_bos());
  for (const char* text : kTexts) EXPECT_EQ(second->encode(text), first.encode(text)) << text;
  for (int32_t id = 0; id < first.vocab_size(); ++id) {
    EXPECT_EQ(second->token_bytes(id), first.token_bytes(id)) << id;
    EXPECT_EQ(second->is_special(id), first.is_special(id)) << id;
  }
  ASSERT_EQ(second->chat_templates().size(), first.chat_templates().size());
  for (size_t i = 0; i < first.chat_templates().size(); ++i)
    EXPECT_EQ(second->chat_templates()[i].source, first.chat_templates()[i].source);
  fs::remove_all(folder);
}

void expect_same(const Tokenizer& first) {
  expect_same_in_folder(first);
  auto exported = export_to_gguf(first);
  ASSERT_TRUE(exported) << exported.error().debug();
  EXPECT_EQ(exported->tokens.size(), exported->token_types.size());
  const auto second = Tokenizer::from_gguf(*exported);
  ASSERT_TRUE(second) << second.error().debug();
  EXPECT_EQ(second->vocab_size(), first.vocab_size());
  EXPECT_EQ(second->eos_id(), first.eos_id());
  EXPECT_EQ(second->bos_id(), first.bos_id());
  EXPECT_EQ(second->adds_bos(), first.adds_bos());
  ASSERT_EQ(second->chat_templates().size(), first.chat_templates().size());
  for (const char* text : kTexts) {
    const std::vector<int32_t> ids = first.encode(text);
    EXPECT_EQ(second->encode(text), ids) << text;
    EXPECT_EQ(second->decode(ids, false), first.decode(ids, false));
    EXPECT_EQ(second->decode(ids, true), first.decode(ids, true));
  }
  for (int32_t id = 0; id < first.vocab_size(); ++id) {
    EXPECT_EQ(second->token_bytes(id), first.token_bytes(id)) << id;
    EXPECT_EQ(second->is_special(id), first.is_special(id)) << id;
  }
  expect_same_in_folder(*second);
  const auto again = export_to_gguf(*second);  // the form is its own image
  EXPECT_EQ(again->tokens, exported->tokens);
  EXPECT_EQ(again->merges, exported->merges);
  EXPECT_EQ(again->pre, exported->pre);
}

TEST(TokenizerExport, ATokenizerOfQwensKind) {
  const auto tokenizer = Tokenizer::from_folder(QW_SOURCE_DIR "/tests/golden/data/tokenizer");
  ASSERT_TRUE(tokenizer) << tokenizer.error().debug();
  expect_same(*tokenizer);
  EXPECT_EQ(export_to_gguf(*tokenizer)->pre, "qwen2");
}

// tests/text/data/small_tokenizers.json: one vocabulary under many rules; `gguf` is llama.cpp's name of the
// rule.
TEST(TokenizerExport, EveryRuleThatGgufHasANameFor) {
  const auto all = parse_json_file(QW_SOURCE_DIR "/tests/text/data/small_tokenizers.json");
  ASSERT_TRUE(all);
  int n_named = 0;
  const fs::path folder = fs::temp_directory_path() / fmt::format("qw_tokenizer_export_{}", ::getpid());
  fs::create_directories(folder);
  for (const Json& variant : (*all)["variants"]) {
    if (variant.contains("gguf_only") || variant["model"].contains("without")) continue;
    SCOPED_TRACE(variant["name"]);
    Json json = variant["members"];
    json["decoder"] = {{"type", "ByteLevel"}};
    json["model"] = (*all)["model"];
    json["model"].update(variant["model"]);
    ASSERT_TRUE(write_file_atomic(folder / "tokenizer.json", json.dump()));
    const auto tokenizer = Tokenizer::from_folder(folder);
    ASSERT_TRUE(tokenizer) << tokenizer.error().debug();
    const auto exported = export_to_gguf(*tokenizer);
    if (variant.contains("gguf")) {
      ASSERT_TRUE(exported) << exported.error().debug();
      EXPECT_EQ(exported->pre, variant["gguf"].get<std::string>());
      expect_same(*tokenizer);
      ++n_named;
    } else if (!exported) {
      EXPECT_EQ(exported.error().code(), "text.no_gguf_pre");
    }
  }
  fs::remove_all(folder);
  EXPECT_GE(n_named, 4);
}

}  // namespace
}  // namespace qw
