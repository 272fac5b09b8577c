// The small real model of ../shared/models against the answers that the reference library gave.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

const char* const kText = "/usr/share/common-licenses/GPL-3";  // 7,639 tokens, on every Debian

class SmolLm2 : public testing::Test {
 protected:
  void SetUp() override {
    if (smollm2().empty()) GTEST_SKIP() << "../shared/models/SmolLM2-135M-Instruct.Q4_1.gguf is absent";
    std::ifstream in(shared("models/smollm2-reference.jsonl"));
    for (std::string line; std::getline(in, line);) reference_.push_back(Json::parse(line));
    ASSERT_EQ(reference_.size(), 11U);
  }
  std::string model() const { return smollm2().string(); }

  std::vector<Json> reference_;
};

TEST_F(SmolLm2, RendersTheReferencesPrompts) {
  std::string lines;
  for (const Json& r : reference_)
    lines +=
        to_json_line(Json{{"messages", r["messages"]}, {"kwargs", {{"add_generation_prompt", true}}}}) + "\n";
  const Ran ran = qw({"render", model(), "-", "--jsonl"}, {.in = lines});
  EXPECT_EQ(ran.status, 0) << ran.err;
  const auto got = ran.jsonl();
  ASSERT_EQ(got.size(), reference_.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i]["rendered"], reference_[i]["rendered"]) << i;
}

TEST_F(SmolLm2, TokenizesTheReferencesPrompts) {
  std::string lines;
  for (const Json& r : reference_) lines += to_json_line(Json{{"text", r["rendered"]}}) + "\n";
  const auto got = qw({"tokenize", model(), "--jsonl"}, {.in = lines}).jsonl();
  ASSERT_EQ(got.size(), reference_.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i]["ids"], reference_[i]["ids"]) << i;
}

TEST_F(SmolLm2, AnswersAsTheReference) {
  for (size_t i = 0; i < reference_.size(); ++i) {
    const Json& r = reference_[i];
    const TempFolder folder;
    const std::string file = folder.file("m.json", to_json_line(r));
    const Ran ran =
        qw({"run", model(), "--exact", "--greedy", "--max-tokens", "48", "--messages", file, "--json"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const Json got = ran.json();
    EXPECT_EQ(got["ids"], r["greedy"]) << i;
    EXPECT_EQ(got["usage"]["prompt_tokens"], r["ids"].size());
    const bool stopped = r["greedy"].back() == 2;
    EXPECT_EQ(got["finish_reason"], stopped ? "stop" : "length") << i;
    EXPECT_EQ(got["text"].get<std::string>() + (stopped ? "<|im_end|>" : ""), r["text"].get<std::string>())
        << i;
    EXPECT_TRUE(got["reasoning"].is_null());
  }
}

TEST_F(SmolLm2, Perplexity) {
  if (!std::ifstream(kText)) GTEST_SKIP() << kText << " is absent";
  const Ran ran = qw({"perplexity", model(), kText, "--exact", "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const Json got = ran.json();
  EXPECT_EQ(got["tokens"], 7639);
  EXPECT_EQ(got["scored"], 3570);
  EXPECT_NEAR(got["perplexity"].get<double>(), 18.300, 0.002);
  EXPECT_NEAR(got["nll"].get<double>(), std::log(18.3001), 1e-4);
}

TEST_F(SmolLm2, CtrlCEndsTheAnswerWithWhatThereIs) {
  const std::vector<std::string> args{"run",          model(),        "Count from one to a thousand.",
                                      "--ignore-eos", "--max-tokens", "4000"};
  const Ran ran = qw(args, {.interrupt_after_output = 0.5});
  EXPECT_EQ(ran.status, 130);
  EXPECT_GT(ran.out.size(), 1U);
  EXPECT_TRUE(ran.out.ends_with("\n"));
  EXPECT_EQ(ran.err, "");
}

}  // namespace
}  // namespace qw::e2e
