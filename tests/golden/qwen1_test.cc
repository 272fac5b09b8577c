// The original Qwen beyond what every model is held to: the length of the prompt decides the rotation however
// the prompt is cut, LogN and NTK really set in, training uses neither, and what its config may not say.
#include <gtest/gtest.h>

#include "base/mmap.h"
#include "golden/model_runner.h"
#include "models/model.h"

namespace qw::golden {
namespace {

std::filesystem::path folder() {
  return data_folder() / "models" / "qwen1_long";
}
Json config() {
  return parse_json_file(folder() / "config.json").value();
}

TEST(Qwen1, ChunksOfAPromptAgreeToTheBit) {
  const auto runner = Runner::open(folder(), "");
  ASSERT_TRUE(runner);
  Expected want(folder() / "expected.safetensors");
  const std::vector<int32_t> ids = want.ids("case3.input_ids");  // 130 tokens, seq_length 64
  const Host<float> whole = runner->paged_logits(ids);
  for (const size_t chunk : {1, 50, 64, 129})
    EXPECT_EQ(runner->chunked_logits(ids, chunk).values, whole.values) << chunk;
}

TEST(Qwen1, PromptsOfOneClassShareKeys) {
  const auto made = make_model(config());
  ASSERT_TRUE(made) << made.error().debug();
  const Model& model = *made->model;
  // 64 · 2^n: the prompt's class is the number of doublings that it goes beyond.
  for (const auto& [n_prompt, expected] :
       {std::pair(1, 0), {64, 0}, {65, 1}, {128, 1}, {129, 2}, {256, 2}, {257, 3}})
    EXPECT_EQ(model.prompt_class(n_prompt), static_cast<uint64_t>(expected)) << n_prompt;
  Json plain = config();
  plain["use_dynamic_ntk"] = false;
  EXPECT_EQ(make_model(plain)->model->prompt_class(1000), 0U);
}

TEST(Qwen1, EachRuleChangesTheNumbersAndOnlyBeyondTheTrainingLength) {
  const auto with = [](bool logn, bool ntk) {
    Json c = config();
    c["use_logn_attn"] = logn;
    c["use_dynamic_ntk"] = ntk;
    const std::filesystem::path path = std::filesystem::temp_directory_path() / "qw_qwen1_config";
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
    std::filesystem::copy(folder() / "model.safetensors", path / "model.safetensors");
    EXPECT_TRUE(write_file_atomic(path / "config.json", c.dump()));
    auto runner = Runner::open(path, "");
    std::filesystem::remove_all(path);
    return runner;
  };
  Expected want(folder() / "expected.safetensors");
  const std::vector<int32_t> brief = want.ids("case2.input_ids"), extended = want.ids("case3.input_ids");
  const auto neither = with(false, false), logn = with(true, false), ntk = with(false, true);
  const Host<float> short_text = neither->logits(brief), long_text = neither->logits(extended);
  for (const auto* r : {&logn, &ntk}) {
    EXPECT_EQ((*r)->logits(brief).values, short_text.values);
    EXPECT_GT(max_difference((*r)->logits(extended), long_text), 1e-2);
  }
  // LogN is a factor on late queries: early rows are untouched.
  const Host<float> scaled = logn->logits(extended);
  const size_t vocab = static_cast<size_t>(long_text.shape[1]);
  EXPECT_TRUE(std::equal(scaled.values.begin(), scaled.values.begin() + static_cast<ptrdiff_t>(64 * vocab),
                         long_text.values.begin()));
}

TEST(Qwen1, RefusesConfigsOfAnotherModel) {
  const auto refused = [](const char* key, const Json& value, const char* code) {
    Json c = config();
    c[key] = value;
    const auto made = make_model(c);
    ASSERT_FALSE(made) << key;
    EXPECT_EQ(made.error().code(), code) << made.error().debug();
  };
  refused("rotary_pct", 0.5, "config.value");
  refused("no_bias", false, "config.value");
  refused("kv_channels", 16, "config.heads");
  refused("seq_length", 1, "config.range");
  refused("rotary_emb_base", 1.0, "config.range");
  refused("num_hidden_layers", 5000, "config.range");
}

}  // namespace
}  // namespace qw::golden
