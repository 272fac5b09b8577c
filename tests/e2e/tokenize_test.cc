#include <gtest/gtest.h>

#include <fstream>

#include "base/mmap.h"
#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

const std::string kFolder = QW_SOURCE_DIR "/tests/golden/data/tokenizer";
const std::string kPadded = QW_SOURCE_DIR "/tests/golden/data/models/qwen2_tied";
const std::string kGguf = QW_SOURCE_DIR "/tests/golden/data/gguf/qwen2_tied.F32.gguf";

std::vector<Json> golden_cases() {
  std::vector<Json> out;
  std::ifstream in(kFolder + "/cases.jsonl");
  for (std::string line; std::getline(in, line);) out.push_back(Json::parse(line));
  return out;
}

TEST(Tokenize, TextToIdsByteForByte) {
  for (const Json& c : golden_cases()) {
    const Ran ran = qw({"tokenize", kFolder}, {.in = c["text"].get<std::string>()});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.json(), c["ids"]) << c["text"];
    EXPECT_EQ(ran.err, "");
    EXPECT_TRUE(ran.out.ends_with("]\n"));
  }
}

TEST(Tokenize, FolderAndGgufAgree) {
  std::string lines;
  std::vector<Json> cases = golden_cases();
  for (const Json& c : cases) lines += to_json_line(Json{{"text", c["text"]}}) + "\n";
  const Ran folder = qw({"tokenize", kPadded, "--jsonl"}, {.in = lines});
  const Ran gguf = qw({"tokenize", kGguf, "--jsonl"}, {.in = lines});
  EXPECT_EQ(folder.status, 0) << folder.err;
  EXPECT_EQ(gguf.status, 0) << gguf.err;
  const std::vector<Json> from_folder = folder.jsonl(), from_gguf = gguf.jsonl();
  ASSERT_EQ(from_folder.size(), cases.size());
  ASSERT_EQ(from_gguf.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(from_folder[i]["ids"], cases[i]["ids"]);
    EXPECT_EQ(from_gguf[i]["ids"], cases[i]["ids"]);
  }
}

TEST(Tokenize, DecodeInBothForms) {
  std::string lines;
  const std::vector<Json> cases = golden_cases();
  for (const Json& c : cases) {
    const Ran ran = qw({"tokenize", kFolder, "--decode"}, {.in = c["ids"].dump()});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.out, c["decoded"].get<std::string>());  // no newline is added
    lines += Json{{"ids", c["ids"]}}.dump() + "\n";
  }
  const std::vector<Json> answers = qw({"tokenize", kFolder, "--decode", "--jsonl"}, {.in = lines}).jsonl();
  ASSERT_EQ(answers.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(answers[i]["text"], cases[i]["decoded"]);
}

TEST(Tokenize, SpecialTokens) {
  const std::string text = "<|im_start|>user\nhi<|im_end|>";
  const Json ids = qw({"tokenize", kFolder}, {.in = text}).json();
  EXPECT_EQ(qw({"tokenize", kFolder, "--decode"}, {.in = ids.dump()}).out, text);
  EXPECT_EQ(qw({"tokenize", kFolder, "--decode", "--skip-special"}, {.in = ids.dump()}).out, "user\nhi");
  const Ran bos = qw({"tokenize", kFolder, "--bos"}, {.in = "a"});
  EXPECT_EQ(bos.status, 1);
  EXPECT_NE(bos.err.find("BOS"), bos.err.npos);
}

TEST(Tokenize, PaddingAndBytesThatAreNoText) {
  EXPECT_EQ(qw({"tokenize", kPadded, "--decode"}, {.in = "[319, 257, 318]"}).out, "th");
  const Json ids = qw({"tokenize", kFolder}, {.in = "\xff"}).json();
  EXPECT_EQ(ids, qw({"tokenize", kFolder}, {.in = "\xef\xbf\xbd"}).json());  // U+FFFD
  const Json euro = qw({"tokenize", kFolder}, {.in = "€"}).json();
  ASSERT_GT(euro.size(), 1U);
  const Ran half = qw({"tokenize", kFolder, "--decode"}, {.in = Json::array({euro[0]}).dump()});
  EXPECT_EQ(half.out, "\xef\xbf\xbd");
}

TEST(Tokenize, ABadLineDoesNotEndTheRest) {
  const Ran ran = qw({"tokenize", kFolder, "--jsonl"},
                     {.in = "{\"text\": \"a\"}\nnonsense\n{\"x\": 1}\n{\"text\": 3}\n\n{\"text\": \"a\"}"});
  EXPECT_EQ(ran.status, 0);
  const std::vector<Json> lines = ran.jsonl();
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_EQ(lines[0], lines[5]);
  for (size_t i = 1; i < 5; ++i) {
    EXPECT_TRUE(lines[i]["error"].is_string()) << i;
    EXPECT_FALSE(lines[i].contains("ids"));
  }
  const auto ids =
      qw({"tokenize", kFolder, "--jsonl", "--decode"}, {.in = "{\"ids\": [-1]}\n{\"ids\": []}\n"}).jsonl();
  ASSERT_EQ(ids.size(), 2U);
  EXPECT_TRUE(ids[0].contains("error"));
  EXPECT_EQ(ids[1]["text"], "");
}

TEST(Tokenize, JsonEscapesNonAscii) {
  const Ran ran =
      qw({"tokenize", kFolder, "--decode", "--json"}, {.in = qw({"tokenize", kFolder}, {.in = "é"}).out});
  EXPECT_EQ(ran.out, "{\"text\":\"\\u00e9\"}\n");
}

TEST(Tokenize, NeedsNoWeights) {
  const TempFolder folder;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    folder.file(name, read_file(kFolder + "/" + name).value());
  EXPECT_EQ(qw({"tokenize", folder.path().string()}, {.in = " "}).json(), Json::parse("[220]"));
}

TEST(Tokenize, WrongUse) {
  EXPECT_EQ(qw({"tokenize"}).status, 2);
  EXPECT_EQ(qw({"tokenize", kFolder, "--skip-special"}).status, 2);
  EXPECT_EQ(qw({"tokenize", kFolder, "--decode", "--bos"}).status, 2);
  EXPECT_EQ(qw({"tokenize", kFolder, "--decode"}, {.in = "[1,"}).status, 1);
  EXPECT_EQ(qw({"tokenize", kFolder}, {.in = "a", .out_path = "/dev/full"}).status, 1);
}

}  // namespace
}  // namespace qw::e2e
