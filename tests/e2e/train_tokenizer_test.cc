#include <gtest/gtest.h>

#include <fstream>

#include "base/mmap.h"
#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

const std::string kCorpus = QW_SOURCE_DIR "/tests/train/data/corpus.txt";

TEST(TrainTokenizer, WhatItWritesTokenizes) {
  const TempFolder folder;
  const std::string out = folder / "tok";
  const std::string chat = folder.file("chat.jinja", "{{ messages[0].content }}<|im_end|>");
  const Ran ran = qw({"train-tokenizer", "--vocab", "420", "--out", out, "--tags", "--template", chat,
                      "--special", "<|a|>", "--special", "<|b|>", kCorpus, kCorpus, "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.json()["vocab"], 420);
  EXPECT_EQ(ran.json()["added"], 11);
  EXPECT_EQ(ran.json()["merges"], 420 - 256 - 11);
  const auto text = read_file(kCorpus);
  const Ran ids = qw({"tokenize", out}, {.in = *text});
  EXPECT_EQ(ids.status, 0) << ids.err;
  const Ran back = qw({"tokenize", out, "--decode"}, {.in = ids.out});
  EXPECT_NE(back.out.find("从前有座山"), back.out.npos);
  const Ran rendered =
      qw({"render", out, "-"}, {.in = R"({"messages": [{"role": "user", "content": "hello"}]})"});
  EXPECT_NE(rendered.out.find("hello<|im_end|>"), rendered.out.npos) << rendered.err;
}

TEST(TrainTokenizer, WrongUseAndBadFilesSaySoInBothLanguages) {
  const TempFolder folder;
  const std::string out = folder / "tok", bad = folder.file("bad.jsonl", "{\"text\": \"a\"}\nnothing\n");
  EXPECT_EQ(qw({"train-tokenizer", "--vocab", "300", "--out", out}).status, 2);
  EXPECT_EQ(qw({"train-tokenizer", "--vocab", "300", kCorpus}).status, 2);
  EXPECT_EQ(qw({"train-tokenizer", "--out", out, kCorpus}).status, 2);
  const Ran line = qw({"train-tokenizer", "--vocab", "300", "--out", out, kCorpus, bad});
  EXPECT_EQ(line.status, 1);
  EXPECT_NE(line.err.find("bad.jsonl, line 2"), line.err.npos) << line.err;
  const Ran small = qw({"--lang", "zh", "train-tokenizer", "--vocab", "200", "--out", out, kCorpus});
  EXPECT_EQ(small.status, 1);
  EXPECT_NE(small.err.find("太小"), small.err.npos) << small.err;
  const Ran missing = qw({"train-tokenizer", "--vocab", "300", "--out", out, folder / "none.txt"});
  EXPECT_EQ(missing.status, 1);
  const Ran chat = qw({"train-tokenizer", "--vocab", "300", "--out", out, kCorpus, "--template",
                       folder.file("x.jinja", "{% if %}")});
  EXPECT_EQ(chat.status, 1);
  EXPECT_TRUE(std::filesystem::is_empty(out));  // no file is written where something failed
  const Ran little = qw({"train-tokenizer", "--vocab", "90000", "--out", out, kCorpus});
  EXPECT_EQ(little.status, 0);
  EXPECT_NE(little.err.find("warning"), little.err.npos) << little.err;
}

// Before the training: its text is not even there.
TEST(TrainTokenizer, NoTokenizerIsWrittenOverAndABadPlaceIsKnownFirst) {
  const TempFolder folder;
  const std::string absent = folder / "absent.txt";
  for (const std::string name : {"tokenizer.json", "tokenizer_config.json"}) {
    const std::filesystem::path out = folder / ("model-" + name);
    std::filesystem::create_directories(out);
    std::ofstream(out / name) << "mine";
    const Ran ran = qw({"train-tokenizer", "--vocab", "300", "--out", out, absent});
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.err.find(name + " is there already"), ran.err.npos) << ran.err;
    EXPECT_EQ(read_file(out / name).value(), "mine");
  }
  const std::string file = folder.file("file", "");
  const Ran bad = qw({"train-tokenizer", "--vocab", "300", "--out", file + "/tok", absent});
  EXPECT_EQ(bad.status, 1);
  EXPECT_NE(bad.err.find("Cannot write " + file + "/tok"), bad.err.npos) << bad.err;
}

}  // namespace
}  // namespace qw::e2e
