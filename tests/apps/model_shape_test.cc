// Shapes of the released models (tests/models/data/configs): parameters, total and active, against what the
// reference library counts and what was published; memory plans; and shapes so large that 32 bits would not
// hold them, on a backend that computes nothing.
#include "apps/model_shape.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/dry_backend.h"
#include "engine/options.h"

namespace qw::apps {
namespace {

Json config_of(const std::string& name) {
  return *lone_config(std::string(QW_SOURCE_DIR) + "/tests/models/data/configs/" + name + ".json").value();
}

// Address space for all that is no matrix: some ops look at the layout of such weights, even where nothing is
// computed.
class Vectors : public Visitor {
 protected:
  void on_weight(Weight& w, ShardAxis) override {
    if (w.shape.rank() == 2) return;
    w.data = Tensor(backend_.alloc(static_cast<size_t>(w.shape.elements()) * sizeof(float)).value(), 0,
                    w.shape, DType::f32);
  }

 private:
  DryBackend backend_{DType::f32};
};

// Null, and the test fails, where the config makes no model.
std::unique_ptr<Model> make(const Json& config) {
  auto made = make_model(config);
  EXPECT_TRUE(made) << made.error().debug();
  return made ? std::move(made->model) : nullptr;
}

struct Published {
  double total, active;                   // 10⁹, as the model cards say it
  int64_t parameters, active_parameters;  // transformers 5.12 (qwen: by hand, docs/models.md)
};

const std::map<std::string, Published>& published() {
  static const std::map<std::string, Published> table{
      {"Qwen-7B-Chat", {7.72, 7.72, 7721324544, 7721324544}},
      {"Qwen-72B", {72.3, 72.3, 72287920128, 72287920128}},
      {"Qwen1.5-110B-Chat", {111.2, 111.2, 111209914368, 111209914368}},
      {"Qwen1.5-MoE-A2.7B-Chat", {14.3, 2.7, 14315784192, 2689173504}},
      {"Qwen2-57B-A14B", {57.4, 14.2, 57408658944, 14249270784}},
      {"Qwen2.5-14B-Instruct", {14.77, 14.77, 14770033664, 14770033664}},
      {"Qwen3-0.6B", {0.596, 0.596, 596049920, 596049920}},
      {"Qwen3-32B", {32.8, 32.8, 32762123264, 32762123264}},
      {"Qwen3-30B-A3B", {30.5, 3.35, 30532122624, 3353032704}},
      {"Qwen3-235B-A22B", {235.1, 22.2, 235093634560, 22190763520}},
      {"Qwen3-Coder-480B-A35B-Instruct", {480.2, 35.5, 480154875392, 35474765312}},
      {"Qwen3-Embedding-0.6B", {0.596, 0.596, 595776512, 595776512}},
      {"Qwen3-Next-80B-A3B", {79.7, 3.87, 79674391296, 3874929408}},
      {"Qwen3.5-27B", {26.9, 26.9, 26895998464, 26895998464}},
      {"Qwen3.5-35B-A3B", {34.66, 3.45, 34660610688, 3454988928}},
      {"Qwen3.5-122B-A10B", {122.1, 9.77, 122111526912, 9771288576}},
      {"Qwen3.5-397B-A17B", {396.3, 17.35, 396346350336, 17349040896}},
      {"Qwen3.6-27B", {26.9, 26.9, 26895998464, 26895998464}},
      {"Qwen3.6-35B-A3B", {34.66, 3.45, 34660610688, 3454988928}},
  };
  return table;
}

class ReleasedShape : public testing::TestWithParam<std::string> {};

TEST_P(ReleasedShape, HasThePublishedNumbers) {
  const Json config = config_of(GetParam());
  const auto model = make(config);
  ASSERT_NE(model, nullptr);
  const Published& want = published().at(GetParam());
  const ModelShape shape = model_shape(*model, config);
  EXPECT_EQ(shape.parameters, want.parameters);
  // Within half a percent of the reference's count: a gate or a norm more or less is below that.
  const auto near = [](int64_t got, double wanted) {
    return std::abs(static_cast<double>(got) / wanted - 1) < 0.005;
  };
  EXPECT_TRUE(near(shape.active, static_cast<double>(want.active_parameters))) << shape.active;
  EXPECT_TRUE(near(shape.parameters, want.total * 1e9)) << shape.parameters;
  // 16, 8.5 and 4.5 bits a weight, but for vectors.
  EXPECT_NEAR(static_cast<double>(shape.weights_as(QuantFormat::bf16)),
              2.0 * static_cast<double>(shape.parameters), 1);
  for (const auto& [format, bits] : {std::pair(QuantFormat::q8_0, 8.5), std::pair(QuantFormat::q4_0, 4.5)})
    EXPECT_NEAR(static_cast<double>(shape.weights_as(format)) * 8 / static_cast<double>(shape.parameters),
                bits, 0.02 * bits);
  EXPECT_EQ(shape.kv_bytes.back().first, model->info().max_positions);
}

// The plan of an engine for every released shape, at its whole context, for one and for many sequences.
TEST_P(ReleasedShape, IsPlannedWithoutOverflow) {
  const Json config = config_of(GetParam());
  const auto model = make(config);
  ASSERT_NE(model, nullptr);
  const ModelShape shape = model_shape(*model, config);
  Vectors vectors;
  model->visit(vectors);
  const auto plan = plan_memory(*model, DType::f32, {.max_seqs = 1});
  ASSERT_TRUE(plan) << plan.error().debug();
  EXPECT_EQ(static_cast<int64_t>(plan->kv_bytes), shape.kv_bytes.back().second);
  EXPECT_GT(plan->activation_bytes, 0U);
  const auto many = plan_memory(*model, DType::f32, {.max_batch_tokens = 2048, .max_seqs = 64});
  ASSERT_TRUE(many) << many.error().debug();
  EXPECT_GE(many->kv_bytes, plan->kv_bytes);
  EXPECT_LE(many->kv_bytes, plan->kv_bytes * 64);
  EXPECT_LT(many->total_bytes(), size_t{1} << 50);
}

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const auto& [name, want] : published()) out.push_back(name);
  return out;
}
INSTANTIATE_TEST_SUITE_P(Hub, ReleasedShape, testing::ValuesIn(names()), [](const auto& param) {
  std::string name = param.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '.' || c == '-'; }, '_');
  return name;
});

// 262144 positions, and four times as many with YaRN: more than a million.
TEST(VirtualShape, AMillionPositionsWithYarn) {
  Json config = config_of("Qwen3-4B-2507");
  config["rope_scaling"] = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 262144}};
  const auto model = make(config);
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->info().max_positions, 1048576);
  const auto plan = plan_memory(*model, DType::f32, {.max_seqs = 1});
  ASSERT_TRUE(plan) << plan.error().debug();
  // 36 layers, K and V of 8 heads of 128 in f16
  EXPECT_EQ(plan->kv_bytes, size_t{1048576} * 36 * 2 * 8 * 128 * 2);
}

TEST(VirtualShape, FiveHundredTwelveExpertsAndMore) {
  Json config = config_of("Qwen3-Coder-480B-A35B-Instruct");
  config["num_experts"] = 512;
  config["num_experts_per_tok"] = 16;
  const auto model = make(config);
  ASSERT_NE(model, nullptr);
  const ModelShape shape = model_shape(*model, config);
  EXPECT_GT(shape.parameters, int64_t{1400} * 1000 * 1000 * 1000);
  EXPECT_GT(shape.weights_as(QuantFormat::bf16), int64_t{1} << 41);
  EXPECT_LT(shape.active, shape.parameters / 20);
  const auto plan = plan_memory(*model, DType::f32, {.max_batch_tokens = 4096, .max_seqs = 16});
  ASSERT_TRUE(plan) << plan.error().debug();
  EXPECT_GT(plan->activation_bytes, 0U);
}

}  // namespace
}  // namespace qw::apps
