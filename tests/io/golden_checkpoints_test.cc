// The golden checkpoints, written by Hugging Face's and llama.cpp's own tools: the GGUF form of a model must
// come out of open_checkpoint as its folder does: the same names, the same bytes (so the q and k rows are
// back in place), a config that the architecture takes without a warning.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "golden/golden.h"
#include "io/checkpoint.h"
#include "models/model.h"

namespace qw {
namespace {

using golden::Case;

Checkpoint open(const std::filesystem::path& path) {
  auto c = open_checkpoint(path);
  EXPECT_TRUE(c) << path << " " << (c ? "" : c.error().debug());
  return c ? std::move(*c) : Checkpoint{};
}

// Takes every weight that the model wants, as the loader does.
class TakeAll final : public Visitor {
 public:
  explicit TakeAll(WeightSource& source) : source_(source) {}
  std::map<std::string, WeightBytes> taken;

 private:
  void on_weight(Weight& w, ShardAxis) override {
    auto bytes = source_.take(w.name, w.shape.dims());
    ASSERT_TRUE(bytes) << bytes.error().debug();
    taken.emplace(w.name, *std::move(bytes));
  }
  WeightSource& source_;
};

std::map<std::string, WeightBytes> load(Checkpoint& c) {
  auto made = make_model(c.config);
  EXPECT_TRUE(made) << made.error().debug();
  if (!made) return {};
  EXPECT_TRUE(made->warnings.empty()) << made->warnings.front().debug();
  TakeAll visitor(*c.weights);
  made->model->visit(visitor);
  const Status left = c.weights->finish();
  EXPECT_TRUE(left) << left.error().debug();
  return std::move(visitor.taken);
}

bool equal_bytes(const WeightBytes& a, const WeightBytes& b) {
  return a.format == b.format && a.shape == b.shape && std::ranges::equal(a.bytes, b.bytes);
}

void expect_equal(const std::map<std::string, WeightBytes>& a, const std::map<std::string, WeightBytes>& b) {
  ASSERT_FALSE(a.empty());
  EXPECT_EQ(a.size(), b.size());
  for (const auto& [name, weight] : a) {
    ASSERT_TRUE(b.contains(name)) << name;
    EXPECT_TRUE(equal_bytes(weight, b.at(name))) << name;
  }
}

class GoldenGguf : public testing::TestWithParam<Case> {};

TEST_P(GoldenGguf, LoadsWithoutWarningOrLeftover) {
  Checkpoint c = open(golden::data_folder() / GetParam().facts["files"][0].get<std::string>());
  ASSERT_NE(c.weights, nullptr);
  EXPECT_EQ(c.gguf_version, GetParam().facts["version"]);
  ASSERT_TRUE(c.tokenizer.has_value());
  EXPECT_EQ(static_cast<int64_t>(c.tokenizer->tokens.size()), c.config["vocab_size"]);
  EXPECT_FALSE(c.generation.stop_ids.empty());
  EXPECT_FALSE(load(c).empty());
}

INSTANTIATE_TEST_SUITE_P(All, GoldenGguf, testing::ValuesIn(golden::cases("gguf")), golden::param_name);

// The folder with the same weights.
std::filesystem::path folder_of(const Case& c) {
  return golden::data_folder() / "models" / c.name.substr(0, c.name.find('.'));
}

std::vector<Case> with_folder() {
  std::vector<Case> out = golden::cases("gguf");
  std::erase_if(out, [](const Case& c) { return !std::filesystem::exists(folder_of(c)); });
  return out;
}

class GoldenPair : public testing::TestWithParam<Case> {};

TEST_P(GoldenPair, GgufEqualsFolder) {
  Checkpoint gguf = open(golden::data_folder() / GetParam().facts["files"][0].get<std::string>());
  Checkpoint hf = open(folder_of(GetParam()));
  ASSERT_TRUE(gguf.weights && hf.weights);
  for (const auto& [key, value] : gguf.config.items()) {
    if (key == "rope_parameters" && value["rope_type"] == "explicit_factors") {
      EXPECT_EQ(hf.config[key]["rope_type"], "llama3");
    } else if (hf.config.contains(key)) {
      EXPECT_EQ(nlohmann::json(value), nlohmann::json(hf.config[key])) << key;  // in any order of keys
    }
  }
  for (const char* key :
       {"num_attention_heads", "rope_parameters", "rms_norm_eps", "tie_word_embeddings", "vocab_size"})
    EXPECT_TRUE(hf.config.contains(key) && gguf.config.contains(key)) << key;
  const auto& stops = gguf.generation.stop_ids;
  for (const int32_t id : hf.generation.stop_ids) EXPECT_TRUE(std::ranges::count(stops, id)) << id;
  expect_equal(load(gguf), load(hf));
}

INSTANTIATE_TEST_SUITE_P(All, GoldenPair, testing::ValuesIn(with_folder()), golden::param_name);

class GoldenFolder : public testing::TestWithParam<Case> {};

TEST_P(GoldenFolder, LoadsWithoutWarningOrLeftover) {
  Checkpoint c = open(golden::data_folder() / "models" / GetParam().name);
  ASSERT_NE(c.weights, nullptr);
  EXPECT_EQ(c.kind, CheckpointKind::hf_folder);
  EXPECT_FALSE(load(c).empty());
}

INSTANTIATE_TEST_SUITE_P(All, GoldenFolder, testing::ValuesIn(golden::cases("models")), golden::param_name);

TEST(GoldenGgufForms, PartsAndOlderVersionsHoldTheSameWeights) {
  const auto file = [](const char* name) { return open(golden::data_folder() / "gguf" / name); };
  Checkpoint whole = file("llama_blocks.Q4_0.gguf");
  Checkpoint parts = file("llama_blocks.Q4_0.split-00003-of-00003.gguf");
  ASSERT_TRUE(whole.weights && parts.weights);
  EXPECT_EQ(parts.n_files, 3);
  EXPECT_EQ(parts.config, whole.config);
  expect_equal(load(whole), load(parts));
  Checkpoint v3 = file("llama_blocks.Q4_1.gguf");
  Checkpoint v2 = file("llama_blocks.Q4_1.v2.gguf");
  ASSERT_TRUE(v3.weights && v2.weights);
  EXPECT_EQ(v2.gguf_version, 2);
  expect_equal(load(v3), load(v2));
}

}  // namespace
}  // namespace qw
