// Task files: what is read, what is refused, and the hashes; answers and the memory that they take.
#include <gtest/gtest.h>

#include <map>

#include "apps/eval/evaluator.h"
#include "apps/eval/sha256.h"
#include "apps/eval/task.h"
#include "apps/tokenizer_files.h"
#include "backend/cpu/cpu_backend.h"
#include "tests/engine/tiny_models.h"

namespace qw::eval {
namespace {

Result<Item> parsed(const std::string& line, const Settings& settings = {}) {
  return parse_item(Json::parse(line), settings, "dir/tasks.jsonl", 7);
}

std::string problem(const std::string& line, const Settings& settings = {}) {
  const auto item = parsed(line, settings);
  return item ? "none" : std::string(item.error().arg("problem"));
}

const std::string kUser = R"("messages":[{"role":"user","content":"x"}])";

TEST(EvalPages, AsManyContextsAsFitAndOneAtLeast) {
  const auto backend = make_cpu_backend({.threads = 1, .isa = {}}).value();
  std::mt19937 rng(2);
  const auto model = test::tiny_model(test::tiny_config("qwen3", rng), *backend, 1);
  const EngineOptions one{.ctx_tokens = 512, .max_seqs = 1};
  EngineOptions all = one;
  all.max_seqs = 16;
  const size_t context = plan_memory(*model, DType::f32, one)->kv_bytes;
  const MemoryPlan whole = plan_memory(*model, DType::f32, all).value();
  ASSERT_EQ(whole.kv_bytes, 16 * context);
  apps::Console console;
  // `contexts` of them and what the rest takes; 0.95 of the memory is used.
  const auto fitted = [&](double contexts) {
    const double bytes =
        static_cast<double>(whole.total_bytes() - whole.kv_bytes) + contexts * static_cast<double>(context);
    EngineOptions options = all;
    const Status fits =
        fit_pages(console, *model, options, {.available = static_cast<size_t>(bytes / 0.95) + 1024});
    return fits ? Result<size_t>(options.kv_bytes / context) : Result<size_t>(tl::unexpect, fits.error());
  };
  EXPECT_EQ(fitted(16.5).value(), 16U);
  EXPECT_EQ(fitted(15).value(), 8U);
  EXPECT_EQ(fitted(1.5).value(), 1U);
  const auto none = fitted(0.5);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code(), "memory.answer");
}

TEST(EvalPages, AnAnswerThatDoesNotFitFailsAlone) {
  apps::OpenModel open;
  open.backend = make_cpu_backend({.threads = 1, .isa = {}}).value();
  open.checkpoint = open_checkpoint(QW_SOURCE_DIR "/tests/golden/data/models/qwen3_tied").value();
  open.model = load_model(open.checkpoint.config, *open.checkpoint.weights, *open.backend).value().model;
  open.tokenizer = apps::checkpoint_tokenizer(open.checkpoint).value();
  const auto bytes = [&](int ctx_tokens) {
    return plan_memory(*open.model, DType::f32, {.ctx_tokens = ctx_tokens, .max_seqs = 1})->total_bytes();
  };
  // Between both; 0.95 of the memory is used.
  open.memory.available = static_cast<size_t>(static_cast<double>(bytes(32) + bytes(400)) / 2 / 0.95);
  const auto item = [&](const std::string& id, int max_tokens) {
    return parsed(fmt::format(R"({{"kind":"exact","id":"{}",{},"answers":["a"],"max_tokens":{}}})", id, kUser,
                              max_tokens))
        .value();
  };
  const std::vector<Item> items = {item("a", 2), item("long", 400), item("b", 3), item("longer", 500)};
  const auto renderer = ChatRenderer::create({{"default", "{{ messages[0].content }}"}}, {});
  ASSERT_TRUE(renderer.has_value());
  apps::Console console;
  std::map<std::string, Json> results;
  Evaluator evaluator(console, open, &*renderer, {.batch = 1}, [&](const Item& done, Json result) -> Status {
    results[done.id] = std::move(result);
    return {};
  });
  const Status ran = evaluator.run({&items[0], &items[1], &items[2], &items[3]});
  ASSERT_TRUE(ran.has_value()) << ran.error().debug();
  for (const char* id : {"a", "b"}) EXPECT_TRUE(results[id].contains("answer")) << results[id];
  for (const char* id : {"long", "longer"}) {
    EXPECT_EQ(results[id].value("code", ""), "memory.answer") << results[id];
    EXPECT_EQ(results[id].value("pass", true), false) << results[id];
  }
}

TEST(EvalTask, AnItemHasItsDefaults) {
  const auto item = parsed(R"({"kind":"exact",)" + kUser + R"(,"answers":["a","b"],"note":{"any":1}})");
  ASSERT_TRUE(item) << item.error().debug();
  EXPECT_EQ(item->id, "tasks.jsonl:7");
  EXPECT_EQ(item->match, Match::equal);
  EXPECT_EQ(item->answers.size(), 2U);
  EXPECT_EQ(item->max_tokens, 0);
  EXPECT_TRUE(item->generates());
  EXPECT_EQ(item->messages.size(), 1U);
}

TEST(EvalTask, SettingsReachTheItems) {
  const auto settings = parse_settings(
      Json::parse(R"({"kind":"settings","refusal_phrases":["no idea"],"system":"S","max_tokens":9})"), "f",
      1);
  ASSERT_TRUE(settings);
  const auto item = parsed(R"({"kind":"refusal",)" + kUser + R"(,"refuse":true})", *settings);
  ASSERT_TRUE(item) << item.error().debug();
  EXPECT_EQ(item->messages.front(), Json::parse(R"({"role":"system","content":"S"})"));
  EXPECT_EQ(item->max_tokens, 9);
  EXPECT_EQ(item->refusal_phrases, std::vector<std::string>{"no idea"});
  const auto own =
      parsed(R"({"kind":"exact","messages":[{"role":"system","content":"T"},{"role":"user","content":"x"}],)"
             R"("answers":["a"],"max_tokens":3})",
             *settings);
  ASSERT_TRUE(own);
  EXPECT_EQ(own->messages.size(), 2U);
  EXPECT_EQ(own->max_tokens, 3);
}

TEST(EvalTask, MistakesAreNamed) {
  EXPECT_NE(problem("{}"), "none");
  EXPECT_NE(problem(R"({"kind":"other"})").find("\"kind\""), std::string::npos);
  EXPECT_NE(problem(R"({"kind":"exact","answers":["a"]})").find("messages"), std::string::npos);
  EXPECT_NE(problem(R"({"kind":"exact",)" + kUser + "}").find("answers"), std::string::npos);
  EXPECT_NE(problem(R"({"kind":"exact",)" + kUser + R"(,"answers":[]})").find("answers"), std::string::npos);
  EXPECT_NE(problem(R"({"kind":"exact",)" + kUser + R"(,"answers":["a"],"match":"like"})").find("match"),
            std::string::npos);
  EXPECT_NE(problem(R"({"kind":"exact",)" + kUser + R"(,"answers":["a"],"anwser":1})").find("anwser"),
            std::string::npos);
  EXPECT_NE(problem(R"({"kind":"exact","messages":[{"role":"assistant","content":"x"}],"answers":["a"]})"),
            "none");
  EXPECT_NE(problem(R"({"kind":"choice","prompt":"a","choices":["b","c"],"answer":2})").find("answer"),
            std::string::npos);
  EXPECT_NE(problem(R"({"kind":"choice","prompt":"a",)" + kUser + R"(,"choices":["b","c"],"answer":0})"),
            "none");
  EXPECT_NE(problem(R"({"kind":"choice","prompt":"a","choices":["b"],"answer":0})"), "none");
  EXPECT_NE(problem(R"({"kind":"tool_call",)" + kUser + R"(,"tool_calls":[]})").find("tools"),
            std::string::npos);
  EXPECT_NE(problem(R"({"kind":"tool_call",)" + kUser + R"(,"tools":[{}],"tool_calls":[{"name":"a"}]})"),
            "none");
  EXPECT_NE(problem(R"({"kind":"refusal",)" + kUser + R"(,"refuse":true})").find("refusal_phrases"),
            std::string::npos);
  EXPECT_NE(problem(R"({"kind":"perplexity"})").find("text"), std::string::npos);
  EXPECT_EQ(problem(R"({"kind":"perplexity","text":"x"})"), "none");
}

TEST(EvalSha256, KnownAnswers) {  // FIPS 180-4 examples
  EXPECT_EQ(sha256_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace qw::eval
