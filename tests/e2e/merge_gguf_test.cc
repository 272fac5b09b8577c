// qw merge to GGUF against the files that llama.cpp's converter made of the same models: the same metadata,
// the same tensors byte for byte.
#include <gtest/gtest.h>

#include <set>

#include "golden/golden.h"
#include "io/gguf/gguf.h"
#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

const std::string kData = QW_SOURCE_DIR "/tests/golden/data";

std::string shown(const GgufValue& v) {
  if (const auto strings = v.as_strings()) return fmt::format("{}", fmt::join(*strings, "\x1f"));
  if (const auto ints = v.as_ints()) return fmt::format("{}", fmt::join(*ints, " "));
  if (const auto s = v.as_string()) return std::string(*s);
  if (const auto b = v.as_bool()) return *b ? "true" : "false";
  return fmt::format("{}", v.as_number().value_or(-1));
}

struct MergeGguf : testing::TestWithParam<std::string> {};

TEST_P(MergeGguf, IsTheFileOfLlamaCppsConverter) {
  const TempFolder folder;
  const std::string out = folder / "tiny.gguf";
  const Ran ran = qw({"merge", kData + "/models/" + GetParam(), "-", out});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const auto ours = GgufFile::open(out).value();
  const auto theirs = GgufFile::open(kData + "/gguf/" + GetParam() + ".F32.gguf").value();
  EXPECT_EQ(ours->version(), 3U);
  // The name is the folder's; a size for people and the prefix space of SentencePiece say nothing here.
  const std::set<std::string_view> passed_over{"general.name", "general.size_label",
                                               "tokenizer.ggml.add_space_prefix"};
  for (const auto& [key, value] : theirs->metadata()) {
    if (passed_over.contains(key)) continue;
    const GgufValue* own = ours->find(key);
    ASSERT_NE(own, nullptr) << key;
    EXPECT_EQ(own->type_text(), value.type_text()) << key;
    EXPECT_EQ(shown(*own), shown(value)) << key;
  }
  for (const auto& [key, value] : ours->metadata())
    EXPECT_TRUE(theirs->find(key) != nullptr || key == "general.name") << key;
  ASSERT_EQ(ours->tensors().size(), theirs->tensors().size());
  for (const auto& [name, t] : theirs->tensors()) {
    const auto it = ours->tensors().find(name);
    ASSERT_NE(it, ours->tensors().end()) << name;
    EXPECT_EQ(it->second.type, t.type) << name;
    EXPECT_EQ(it->second.shape, t.shape) << name;
    EXPECT_TRUE(std::equal(t.bytes.begin(), t.bytes.end(), it->second.bytes.begin(), it->second.bytes.end()))
        << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, MergeGguf,
                         testing::Values("llama", "llama3_rope", "qwen2_tied", "qwen3_untied", "qwen3_yarn"),
                         [](const auto& p) { return p.param; });

TEST(MergeToGguf, FromGgufAndToBlocks) {
  const TempFolder folder;
  const std::string source = kData + "/gguf/llama_blocks.BF16.gguf";
  const std::string same = folder / "same.gguf", small = folder / "small.gguf";
  ASSERT_EQ(qw({"merge", source, "-", same}).status, 0);
  const auto a = GgufFile::open(source).value(), b = GgufFile::open(same).value();
  for (const auto& [name, t] : a->tensors()) {
    const GgufTensor& u = b->tensors().at(name);
    EXPECT_EQ(t.type, u.type) << name;
    EXPECT_TRUE(std::equal(t.bytes.begin(), t.bytes.end(), u.bytes.begin(), u.bytes.end())) << name;
  }
  for (const auto& [key, value] : b->metadata()) EXPECT_EQ(shown(*a->find(key)), shown(value)) << key;
  const Ran ran = qw({"merge", source, "-", small, "--type", "q8_0", "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.json()["type"], "q8_0");
  EXPECT_EQ(qw({"tokenize", small}, {.in = "the river"}).out,
            qw({"tokenize", source}, {.in = "the river"}).out);
}

// A folder made of a GGUF file: the same tokens, prompts and answers.
TEST(MergeToGguf, AndBackIntoAFolder) {
  const TempFolder folder;
  const std::string source = kData + "/gguf/qwen3_yarn.F32.gguf", out = folder / "out";
  const Ran ran = qw({"merge", source, "-", out, "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.json()["type"], "f32");
  const std::string text = "<|im_start|>user\nthe river 12 你好<|im_end|>";
  EXPECT_EQ(qw({"tokenize", out}, {.in = text}).out, qw({"tokenize", source}, {.in = text}).out);
  const auto answer = [](const std::string& model) {
    const Ran r = qw({"run", model, "Hello", "--json", "--seed", "3", "--max-tokens", "20", "--strict"});
    EXPECT_EQ(r.status, 0) << r.err;
    return r.json()["ids"];
  };
  EXPECT_EQ(answer(out), answer(source));
}

TEST(MergeToGguf, SaysWhatCannotBe) {
  const TempFolder folder;
  const std::string model = kData + "/models/qwen2_tied";
  EXPECT_EQ(qw({"merge", model, "-", folder / "out", "--type", "q8_0"}).status, 2);
  const Ran window = qw({"merge", kData + "/models/qwen2_sliding", "-", folder / "w.gguf"});
  EXPECT_EQ(window.status, 1);
  EXPECT_NE(window.err.find("use_sliding_window"), window.err.npos) << window.err;
  const Ran odd = qw({"merge", kData + "/models/llama_bias", "-", folder / "o.gguf", "--type", "q8_0"});
  EXPECT_EQ(odd.status, 1);
  EXPECT_NE(odd.err.find("blocks of 32"), odd.err.npos) << odd.err;
  const Ran back = qw({"merge", kData + "/gguf/llama3_rope.F32.gguf", "-", folder / "out"});
  EXPECT_EQ(back.status, 1);
  EXPECT_NE(back.err.find("rotary"), back.err.npos) << back.err;
}

}  // namespace
}  // namespace qw::e2e
