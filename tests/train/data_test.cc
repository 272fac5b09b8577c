// dataset.h, chat_text.h and batches.h on the tiny tokenizer of the goldens.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "train/batches.h"
#include "train/chat_text.h"
#include "train/dataset.h"

namespace qw::train {
namespace {

namespace fs = std::filesystem;

struct DataTest : testing::Test {
  DataTest() {
    std::string name = (fs::temp_directory_path() / "qw-data-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    config.model = config.out = "x";
  }
  ~DataTest() override { fs::remove_all(folder); }

  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(folder / name) << text;
    return (folder / name).string();
  }
  Result<Dataset> read(const std::string& name, const std::string& text) {
    report = {};
    return read_dataset({file(name, text)}, config, {tokenizer, &renderer, 2, now}, report);
  }
  // The documents as text, targets in [brackets].
  std::vector<std::string> shown(const Dataset& d) const {
    std::vector<std::string> out;
    for (const Document& doc : d.documents) {
      std::string text;
      bool open = false;
      for (int32_t i = 0; i < doc.length; ++i) {
        const auto at = static_cast<size_t>(doc.begin + i);
        if ((d.target[at] != 0) != open) text += (open = !open) ? "[" : "]";
        text += tokenizer.decode(std::span(&d.ids[at], 1), false);
      }
      out.push_back(text + (open ? "]" : ""));
    }
    return out;
  }

  fs::path folder;
  TrainConfig config;
  LocalTime now;
  Tokenizer tokenizer = Tokenizer::from_folder(QW_SOURCE_DIR "/tests/golden/data/tokenizer").value();
  ChatRenderer renderer = ChatRenderer::create(tokenizer.chat_templates(), tokenizer.named_tokens()).value();
  DataReport report;
};

using Texts = std::vector<std::string>;

TEST_F(DataTest, AnAnswerAndItsEndAreLearntNothingElse) {
  config.task = "sft";
  const auto d =
      read("a.jsonl", R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"hi"},)"
                      R"({"role":"assistant","content":"yes"},{"role":"user","content":"so"},)"
                      R"({"role":"assistant","content":"no"}]})"
                      "\n\n");
  ASSERT_TRUE(d) << d.error().debug();
  EXPECT_EQ(
      shown(*d),
      Texts{"<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
            "[yes<|im_end|>]\n<|im_start|>user\nso<|im_end|>\n<|im_start|>assistant\n[no<|im_end|>]\n"});
}

TEST_F(DataTest, ATemplateThatRewritesThePastGivesATextAnAnswer) {
  const std::string rewriting =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and not loop.last "
      "%}(past){% else %}"
      "{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt "
      "%}<|im_start|>assistant\n{% endif %}";
  renderer = ChatRenderer::create({{"default", rewriting}}, {}).value();
  config.task = "sft";
  const auto d =
      read("a.jsonl", R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},)"
                      R"({"role":"user","content":"c"},{"role":"assistant","content":"d"}]})");
  ASSERT_TRUE(d) << d.error().debug();
  EXPECT_EQ(
      shown(*d),
      (Texts{"<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[b<|im_end|>]\n",
             "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n(past)<|im_end|>\n<|im_start|>user\nc"
             "<|im_end|>\n<|im_start|>assistant\n[d<|im_end|>]\n"}));
}

TEST_F(DataTest, GenerationBlocksSayWhatIsLearnt) {
  renderer =
      ChatRenderer::create({{"default",
                             "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}"
                             "{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}"
                             "{% endif %};{% endfor %}"}},
                           {})
          .value();
  config.task = "sft";
  const auto d =
      read("a.jsonl", R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]})");
  ASSERT_TRUE(d) << d.error().debug();
  EXPECT_EQ(shown(*d), Texts{"user:a;assistant:[b];"});
}

// The prompt ends in "<think>\n", and the finished text has no reasoning: an answer may begin with "<" too.
TEST_F(DataTest, AnAnswerThatBeginsWithATagIsLearntFromItsBeginning) {
  const std::string thinking =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}";
  renderer = ChatRenderer::create({{"default", thinking}}, {}).value();
  const std::string asked = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n";
  for (const char* answer : {"<tool_call>x", "<html>", "yes"}) {
    config.task = "sft";
    const auto d =
        read("a.jsonl",
             fmt::format(
                 R"({{"messages":[{{"role":"user","content":"q"}},{{"role":"assistant","content":"{}"}}]}})",
                 answer));
    ASSERT_TRUE(d) << d.error().debug();
    EXPECT_EQ(shown(*d), Texts{asked + "[" + answer + "<|im_end|>]\n"});
    config.task = "dpo";
    const auto pair =
        read("b.jsonl",
             fmt::format(R"({{"messages":[{{"role":"user","content":"q"}}],"chosen":"{}","rejected":"no"}})",
                         answer));
    ASSERT_TRUE(pair) << pair.error().debug();
    EXPECT_EQ(shown(*pair)[0], asked + "[" + answer + "<|im_end|>]\n");
  }
  // Where the text has the prompt's block, the prompt's part of it is no answer.
  EXPECT_EQ(answer_begin("a<think>\n", "a<think>\nb</think>"), 9u);
  EXPECT_EQ(answer_begin("a<think>\n", "a<think></think>"), 1u);
  EXPECT_EQ(answer_begin("a<think>\n", "b"), 0u);
  EXPECT_EQ(answer_begin("a<b", "a<c"), 2u);
}

TEST_F(DataTest, AnAnswerIsLearntBehindASpecialTokenToo) {
  renderer = ChatRenderer::create(
                 {{"default",
                   "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}"
                   "{% generation %}<|vision_start|>t<|vision_end|>{{ m.content }}"
                   "{% endgeneration %}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"}},
                 {})
                 .value();
  config.task = "sft";
  const auto d =
      read("a.jsonl", R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]})");
  ASSERT_TRUE(d) << d.error().debug();
  EXPECT_EQ(shown(*d), Texts{"user:a<|im_end|>\nassistant:[<|vision_start|>t<|vision_end|>b]<|im_end|>\n"});
}

TEST_F(DataTest, TemplatesWriteTheDateOfTheRun) {
  renderer = ChatRenderer::create({{"default",
                                    "{{ strftime_now('%Y-%m-%d') }};{% for m in messages %}{{ m.role }}:"
                                    "{{ m.content }};{% endfor %}"
                                    "{% if add_generation_prompt %}assistant:{% endif %}"}},
                                  {})
                 .value();
  config.task = "sft";
  now = LocalTime::parse("2026-01-02").value();
  const auto d =
      read("a.jsonl", R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]})");
  ASSERT_TRUE(d) << d.error().debug();
  EXPECT_EQ(shown(*d), Texts{"2026-01-02;user:a;assistant:[b;]"});
}

TEST_F(DataTest, TextsAreLearntWholeAndSplit) {
  config.seq_len = 4;
  const auto d = read("a.jsonl", "{\"text\":\"QZXJKVW\"}\n{\"text\":\"QZ\"}\n");  // a token a letter
  ASSERT_TRUE(d) << d.error().debug();
  EXPECT_EQ(shown(*d), (Texts{"[QZXJ]", "[KVW<|im_end|>]", "[QZ<|im_end|>]"}));
  config.append_eos = false;
  const auto bare = read("b.txt", "QZXJK");
  ASSERT_TRUE(bare);
  EXPECT_EQ(shown(*bare), Texts{"[QZXJ]"});  // the single letter behind predicts nothing
}

// Whatever the template does to past answers, and whether there is one at all.
TEST_F(DataTest, AConversationToPretrainOnIsLearntWhole) {
  const std::string rewriting =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and not loop.last "
      "%}(past){% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}";
  renderer = ChatRenderer::create({{"default", rewriting}}, {}).value();
  config.task = "pretrain";
  const auto d =
      read("a.jsonl", R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},)"
                      R"({"role":"user","content":"c"},{"role":"assistant","content":"d"}]})"
                      "\n"
                      R"({"messages":[{"role":"user","content":"a"}]})");
  ASSERT_TRUE(d) << d.error().debug();
  EXPECT_EQ(shown(*d), (Texts{"[<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n(past)<|im_end|>\n"
                              "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\nd<|im_end|>\n]",
                              "[<|im_start|>user\na<|im_end|>\n]"}));
}

TEST_F(DataTest, PairsStandSideBySide) {
  config.task = "dpo";
  const auto d = read("a.jsonl", R"({"messages":[{"role":"user","content":"q"}],"chosen":"good",)"
                                 R"("rejected":{"role":"assistant","content":"bad"}})");
  ASSERT_TRUE(d) << d.error().debug();
  EXPECT_EQ(d->n_samples(), 1);
  EXPECT_EQ(shown(*d), (Texts{"<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[good<|im_end|>]\n",
                              "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[bad<|im_end|>]\n"}));
}

TEST_F(DataTest, OfAnAnswerOfSeveralMessagesWhatTheAssistantSaysIsCompared) {
  config.task = "dpo";
  const std::string line =
      R"({"messages":[{"role":"user","content":"p"},{"role":"assistant","content":"o"},)"
      R"({"role":"user","content":"q"}],"chosen":[{"role":"assistant","content":"call"},)"
      R"({"role":"tool","content":"7"},{"role":"assistant","content":"good"}],"rejected":"bad"})";
  const std::string before =
      "<|im_start|>user\np<|im_end|>\n<|im_start|>assistant\no<|im_end|>\n<|im_start|>user\nq<|im_end|>\n";
  const auto d = read("a.jsonl", line);
  ASSERT_TRUE(d) << d.error().debug();
  EXPECT_EQ(shown(*d),
            (Texts{before + "<|im_start|>assistant\n[call<|im_end|>]\n<|im_start|>tool\n7<|im_end|>\n"
                            "<|im_start|>assistant\n[good<|im_end|>]\n",
                   before + "<|im_start|>assistant\n[bad<|im_end|>]\n"}));
  renderer = ChatRenderer::create({{"default",
                                    "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}"
                                    "{% generation %}{{ m.content }}{% endgeneration %}{% else %}"
                                    "{{ m.content }}{% endif %};{% endfor %}"
                                    "{% if add_generation_prompt %}assistant:{% endif %}"}},
                                  {})
                 .value();
  const auto blocks = read("b.jsonl", line);
  ASSERT_TRUE(blocks) << blocks.error().debug();
  EXPECT_EQ(shown(*blocks), (Texts{"user:p;assistant:o;user:q;assistant:[call];tool:7;assistant:[good];",
                                   "user:p;assistant:o;user:q;assistant:[bad];"}));
}

TEST_F(DataTest, BadLinesAreNamedRefusedOrSkipped) {
  config.task = "sft";
  const std::string good =
      R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]})";
  const std::string text = good + "\n{\"text\":\"x\"}\n{nothing\n[]\n" + good + "\n" +
                           R"({"messages":[{"role":"user","content":"a"}]})" + "\n";
  const auto refused = read("a.jsonl", text);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().arg("file").ends_with("a.jsonl:2")) << refused.error().debug();
  config.bad_lines = "skip";
  const auto skipped = read("a.jsonl", text);
  ASSERT_TRUE(skipped) << skipped.error().debug();
  EXPECT_EQ(skipped->n_samples(), 2);
  EXPECT_EQ(report.n_bad, 4);
  ASSERT_EQ(report.bad.size(), 4u);
  EXPECT_TRUE(report.bad[1].arg("file").ends_with("a.jsonl:3"));
  EXPECT_EQ(report.bad[3].code(), "train.no_assistant");
  EXPECT_EQ(read("b.jsonl", "\n\n").error().code(), "train.no_data");
  EXPECT_EQ(read("c.txt", "text").error().code(), "train.text_file");
}

TEST_F(DataTest, LinesOfJsonThatAreNoConversationAreBadOnes) {
  config.bad_lines = "skip";
  const std::string asked =
      R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}])";
  const auto pair = [](const std::string& answer) {
    return R"({"messages":[{"role":"user","content":"a"}],"chosen":"b","rejected":)" + answer + "}\n";
  };
  for (const char* task : {"sft", "pretrain", "distill", "dpo"}) {
    for (const bool on_policy : {false, true}) {
      config.task = task;
      config.distill.on_policy = on_policy;
      const bool dpo = config.task == "dpo";
      const std::string good = dpo ? pair("\"c\"") : asked + "}\n";
      std::string text = good;
      for (const char* messages : {"[1,2]", "[null]", "[[]]", R"([{"content":"a"}])", R"([{"role":5}])",
                                   R"([{"role":null,"content":"a"}])", R"("hi")", "{}"})
        text += dpo ? pair(messages) : fmt::format("{{\"messages\":{}}}\n", messages);
      for (const char* kwargs : {"\"x\"", "[1]", "7"})
        text += dpo ? pair("[]") : fmt::format("{},\"kwargs\":{}}}\n", asked, kwargs);
      text += "[]\n7\n\"\xff\"\n";
      if (dpo) text.replace(text.find("\"rejected\":\"hi\""), 15, "\"rejected\":1234");
      const auto d = read("a.jsonl", text);
      ASSERT_TRUE(d) << d.error().debug();
      EXPECT_EQ(d->n_samples(), 1) << task;
      EXPECT_EQ(report.n_bad, 14) << task;
    }
  }
}

TEST_F(DataTest, OnPolicyATextHasNotEnded) {
  config.task = "distill";
  config.distill.on_policy = true;
  EXPECT_EQ(read("a.txt", "QZX")->ids.size(), 3u);
  config.distill.on_policy = false;
  EXPECT_EQ(read("a.txt", "QZX")->ids.size(), 4u);
}

TEST_F(DataTest, OfSeveralTextsThoseThatFitAreLearnt) {
  renderer = ChatRenderer::create({{"default",
                                    "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' and not "
                                    "loop.last %}(past){% else %}{{ m.content }}{% endif %};{% endfor %}"
                                    "{% if add_generation_prompt %}assistant:{% endif %}"}},
                                  {})
                 .value();
  config.task = "sft";
  const std::string line =
      R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":")" +
      std::string(60, 'Q') + R"("},{"role":"assistant","content":"d"}]})";
  config.seq_len = 40;
  const auto d = read("a.jsonl", line);
  ASSERT_TRUE(d) << d.error().debug();
  EXPECT_EQ(shown(*d), Texts{"user:a;assistant:[b;]"});
  EXPECT_EQ(report.cut, 1);
  config.seq_len = 4;
  EXPECT_EQ(read("a.jsonl", line).error().code(), "train.no_target");
}

TEST_F(DataTest, LongChatsAreCutAndReported) {
  config.task = "sft";
  config.seq_len = 24;
  const auto d =
      read("a.jsonl", R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":")" +
                          std::string(100, 'x') + "\"}]}");
  ASSERT_TRUE(d) << d.error().debug();
  EXPECT_EQ(d->documents[0].length, 24);
  EXPECT_EQ(report.cut, 1);
  EXPECT_EQ(report.first_cut.arg("limit"), "24");
  config.seq_len = 4;  // no answer within it
  EXPECT_EQ(read("a.jsonl",
                 R"({"messages":[{"role":"user","content":"aaaaaaaa"},{"role":"assistant","content":"b"}]})")
                .error()
                .code(),
            "train.no_target");
}

Dataset numbered(const std::vector<int32_t>& lengths) {
  Dataset d;
  for (size_t i = 0; i < lengths.size(); ++i) {
    d.documents.push_back({static_cast<int64_t>(d.ids.size()), lengths[i]});
    d.ids.insert(d.ids.end(), static_cast<size_t>(lengths[i]), static_cast<int32_t>(i));
    d.target.insert(d.target.end(), static_cast<size_t>(lengths[i]), 1);
  }
  return d;
}

TEST(Batches, FileOrderGoesAroundAgain) {
  const Dataset d = numbered({3, 3, 3, 3, 3});
  TrainConfig c;
  c.batch_size = 2;
  c.packing = c.shuffle = false;
  SampleOrder order(d, c);
  EXPECT_EQ(order.next(), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(order.next(), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(order.next(), (std::vector<int64_t>{4, 0}));
  EXPECT_EQ(order.steps_in(1.0), 3);
  EXPECT_EQ(order.steps_in(2.0), 5);
  EXPECT_EQ(order.next(), (std::vector<int64_t>{1, 2}));
}

TEST(Batches, PackingFillsTheBudgetAndNeverLosesADocument) {
  const Dataset d = numbered({5, 9, 2, 10, 1, 4, 8});
  TrainConfig c;
  c.batch_size = 2;
  c.seq_len = 10;
  SampleOrder order(d, c);
  std::vector<int> seen(7);
  int64_t taken = 0;
  while (taken < 7) {
    const auto samples = order.next();
    int64_t tokens = 0;
    for (const int64_t s : samples) {
      tokens += d.documents[static_cast<size_t>(s)].length;
      if (taken++ < 7) ++seen[static_cast<size_t>(s)];
    }
    EXPECT_LE(tokens, 20);
    EXPECT_GT(tokens, 10);  // no document is longer than half of it
  }
  for (const int n : seen) EXPECT_EQ(n, 1);
}

TEST(Batches, TheLargestMicroStepHasTheLongestSamples) {
  TrainConfig c;
  c.batch_size = 2;
  c.seq_len = 10;
  const Dataset d = numbered({5, 9, 2, 10, 1, 4, 8});
  EXPECT_EQ(SampleOrder(d, c).largest(), (std::vector<int64_t>{3, 1, 4}));  // 20 tokens
  c.packing = false;
  EXPECT_EQ(SampleOrder(d, c).largest(), (std::vector<int64_t>{3, 1}));
  c.batch_size = 5;
  const Dataset few = numbered({1, 2});
  EXPECT_EQ(SampleOrder(few, c).largest(), (std::vector<int64_t>{1, 0, 1, 0, 1}));
  c.packing = true;
  c.seq_len = 2;
  EXPECT_EQ(SampleOrder(few, c).largest(), (std::vector<int64_t>{1, 0, 1, 0, 1, 0, 0}));  // 10 tokens
  const Dataset long_one = numbered({30});
  EXPECT_EQ(SampleOrder(long_one, c).largest(), (std::vector<int64_t>{0}));
}

// Each prompt becomes max_new_tokens longer: tokens of prompts do not say how large a micro-step is.
TEST(Batches, OnPolicyPromptsAreCounted) {
  const Dataset d = numbered(std::vector<int32_t>(30, 2));
  TrainConfig c;
  c.batch_size = 3;
  c.seq_len = 10;
  c.task = "distill";
  c.shuffle = false;
  EXPECT_EQ(SampleOrder(d, c).next().size(), 15u);
  c.distill.on_policy = true;
  EXPECT_EQ(SampleOrder(d, c).next(), (std::vector<int64_t>{0, 1, 2}));
}

TEST(Batches, ShufflesByEpochAndGoesToAPlaceAgain) {
  const Dataset d = numbered(std::vector<int32_t>(50, 2));
  TrainConfig c;
  c.batch_size = 50;
  c.packing = false;
  SampleOrder order(d, c);
  const auto first = order.next(), second = order.next();
  EXPECT_NE(first, second);
  c.batch_size = 7;
  SampleOrder a(d, c), b(d, c);
  for (int i = 0; i < 11; ++i) a.next();
  b.go_to(a.place());
  for (int i = 0; i < 11; ++i) EXPECT_EQ(a.next(), b.next());
  TrainConfig other = c;
  other.seed = 2;
  EXPECT_NE(SampleOrder(d, c).next(), SampleOrder(d, other).next());
}

TEST(Batches, RowsBeforeTargetsAloneHaveLogits) {
  Dataset d = numbered({3, 4});
  d.ids = {10, 11, 12, 20, 21, 22, 23};
  d.target = {1, 0, 1, 0, 1, 1, 0};
  const MicroBatch m = make_micro_batch(d, std::vector<int64_t>{1, 0});
  EXPECT_EQ(m.batch.ids, (std::vector<int32_t>{20, 21, 22, 23, 10, 11, 12}));
  EXPECT_EQ(m.batch.positions, (std::vector<int32_t>{0, 1, 2, 3, 0, 1, 2}));
  EXPECT_EQ(m.batch.logit_rows, (std::vector<int32_t>{0, 1, 5}));
  EXPECT_EQ(m.targets, (std::vector<int32_t>{21, 22, 12}));
  EXPECT_EQ(m.rows_of, (std::vector<int32_t>{0, 2, 3}));
  EXPECT_EQ(m.batch.plan.cu_q, (std::vector<int32_t>{0, 4, 7}));
  EXPECT_EQ(d.targets_in(d.documents[0]), 1);  // nothing stands before the first token
}

}  // namespace
}  // namespace qw::train
