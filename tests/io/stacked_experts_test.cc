// Experts in one tensor: which names are stacks, where each expert lies, and what is refused.
#include "io/hf/stacked_experts.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "base/json.h"
#include "io/checkpoint.h"
#include "io/gguf/names.h"
#include "io/hf/folder.h"
#include "tests/io/tiny_models.h"

namespace qw {
namespace {

using Tensors = std::map<std::string, StoredTensor, std::less<>>;

struct StackedExperts : testing::Test {
  std::vector<float> numbers = TinyGguf::counted(1000);
  Tensors tensors;

  void add(const std::string& name, std::vector<int64_t> shape, QuantFormat format = QuantFormat::f32) {
    int64_t n = 1;
    for (const int64_t d : shape) n *= d;
    const auto bytes = static_cast<size_t>(row_bytes(format, n));
    tensors.emplace(name, StoredTensor{.format = format,
                                       .shape = std::move(shape),
                                       .bytes = std::as_bytes(std::span(numbers)).first(bytes),
                                       .file = "m"});
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& [name, t] : tensors) out.push_back(name);
    return out;
  }
  // Index of a tensor's first number, and how many it has.
  std::pair<int, int> place(const std::string& name) const {
    const StoredTensor& t = tensors.at(name);
    float first = 0;
    std::memcpy(&first, t.bytes.data(), sizeof first);
    return {static_cast<int>(first), static_cast<int>(t.bytes.size() / sizeof(float))};
  }
};

TEST_F(StackedExperts, GateAndUpAreTheHalvesOfEachExpert) {
  add("model.layers.3.mlp.experts.gate_up_proj", {2, 6, 4});
  add("model.layers.3.mlp.experts.down_proj", {2, 4, 3});
  add("model.layers.3.mlp.gate.weight", {2, 4});
  ASSERT_TRUE(split_stacked_experts(tensors));
  const std::string p = "model.layers.3.mlp.experts.";
  EXPECT_EQ(names(), (std::vector<std::string>{p + "0.down_proj.weight", p + "0.gate_proj.weight",
                                               p + "0.up_proj.weight", p + "1.down_proj.weight",
                                               p + "1.gate_proj.weight", p + "1.up_proj.weight",
                                               "model.layers.3.mlp.gate.weight"}));
  EXPECT_EQ(place(p + "0.gate_proj.weight"), std::pair(0, 12));
  EXPECT_EQ(place(p + "0.up_proj.weight"), std::pair(12, 12));
  EXPECT_EQ(place(p + "1.gate_proj.weight"), std::pair(24, 12));
  EXPECT_EQ(place(p + "1.up_proj.weight"), std::pair(36, 12));
  EXPECT_EQ(place(p + "1.down_proj.weight"), std::pair(12, 12));
  EXPECT_EQ(tensors.at(p + "1.up_proj.weight").shape, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(tensors.at(p + "1.up_proj.weight").bytes.data(),
            std::as_bytes(std::span(numbers)).data() + 36 * 4);
}

TEST_F(StackedExperts, QuantisedRowsAreCutAtRows) {
  add("model.layers.0.mlp.experts.up_proj.weight", {3, 2, 64}, QuantFormat::q4_0);
  ASSERT_TRUE(split_stacked_experts(tensors));
  const StoredTensor& t = tensors.at("model.layers.0.mlp.experts.2.up_proj.weight");
  EXPECT_EQ(t.bytes.size(), 2U * 36U);
  EXPECT_EQ(t.bytes.data(), std::as_bytes(std::span(numbers)).data() + 4 * 36);
}

TEST_F(StackedExperts, RefusesWhatIsNoStack) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{6, 4}, {2, 5, 4}, {2, 2, 2, 4}, {12}, {1000000000000, 0, 4}}) {
    tensors.clear();
    add("model.layers.0.mlp.experts.gate_up_proj", shape);
    const Status s = split_stacked_experts(tensors);
    ASSERT_FALSE(s);
    EXPECT_EQ(s.error().code(), "weights.shape");
  }
  tensors.clear();
  add("model.layers.0.mlp.experts.down_proj", {2, 4, 3});
  add("model.layers.0.mlp.experts.1.down_proj.weight", {4, 3});
  const Status s = split_stacked_experts(tensors);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code(), "weights.duplicate");
}

TEST_F(StackedExperts, NamesOfTheStackAndOfGguf) {
  const auto name = stacked_name("model.layers.3.mlp.experts.5.up_proj.weight");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->name, "model.layers.3.mlp.experts.gate_up_proj");
  EXPECT_EQ(name->parts, 2);
  EXPECT_EQ(stacked_name("model.layers.3.mlp.experts.5.down_proj.weight")->parts, 1);
  EXPECT_FALSE(stacked_name("model.layers.3.mlp.shared_expert.up_proj.weight"));
  const auto place = gguf_place("model.layers.3.mlp.experts.15.down_proj.weight");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->tensor, "blk.3.ffn_down_exps.weight");
  EXPECT_EQ(place->expert, 15);
  EXPECT_EQ(gguf_place("model.layers.3.mlp.down_proj.weight")->expert, -1);
  EXPECT_EQ(gguf_place("model.layers.3.mlp.shared_expert_gate.weight")->tensor,
            "blk.3.ffn_gate_inp_shexp.weight");
  EXPECT_FALSE(gguf_place("model.layers.3.mlp.experts.x.down_proj.weight"));
  EXPECT_EQ(hf_tensor_name("blk.0.ffn_gate_exps.weight"), "model.layers.0.mlp.experts.gate_proj.weight");
}

// A file of a model with experts: its config, and what is said of one that is broken.
struct MoeGguf {
  std::string arch = "qwen3moe";
  std::vector<std::string> without = {};
  std::vector<uint64_t> gate_exps{8, 6, 3};
  std::string build() const {
    GgufBuilder b =
        TinyGguf{.arch = arch,
                 .qkv_bias = arch == "qwen2moe",
                 .qk_norm = arch == "qwen3moe",
                 .without_tensors = {"blk.0.ffn_gate.weight", "blk.0.ffn_up.weight", "blk.0.ffn_down.weight"}}
            .builder();
    const auto has = [&](const std::string& name) {
      return std::find(without.begin(), without.end(), name) == without.end();
    };
    if (has("expert_count")) b.u32(arch + ".expert_count", 3);
    b.u32(arch + ".expert_used_count", 2).u32(arch + ".expert_feed_forward_length", 6);
    const auto tensor = [&](const std::string& name, const std::vector<uint64_t>& dims) {
      size_t n = 1;
      for (const uint64_t d : dims) n *= d;
      if (has(name)) b.f32s("blk.0." + name + ".weight", dims, TinyGguf::counted(n));
    };
    tensor("ffn_gate_inp", {8, 3});
    tensor("ffn_gate_exps", gate_exps);
    tensor("ffn_up_exps", {8, 6, 3});
    tensor("ffn_down_exps", {6, 8, 3});
    if (arch == "qwen2moe") {
      tensor("ffn_gate_inp_shexp", {8});
      tensor("ffn_gate_shexp", {8, 10});
      tensor("ffn_up_shexp", {8, 10});
      tensor("ffn_down_shexp", {10, 8});
    }
    return b.build();
  }
  Result<Checkpoint> open(const TempDir& dir) const {
    dir.write("m.gguf", build());
    return open_checkpoint(dir / "m.gguf");
  }
};

TEST(MoeGguf, ConfigOfBothArchitectures) {
  const TempDir dir;
  const auto three = MoeGguf{}.open(dir);
  ASSERT_TRUE(three) << three.error().debug();
  EXPECT_EQ(three->config["model_type"], "qwen3_moe");
  EXPECT_EQ(three->config["num_experts"], 3);
  EXPECT_EQ(three->config["num_experts_per_tok"], 2);
  EXPECT_EQ(three->config["moe_intermediate_size"], 6);
  EXPECT_EQ(three->config["norm_topk_prob"], true);
  EXPECT_EQ(three->config["mlp_only_layers"], Json::array());
  const auto two = MoeGguf{.arch = "qwen2moe"}.open(dir);
  ASSERT_TRUE(two) << two.error().debug();
  EXPECT_EQ(two->config["model_type"], "qwen2_moe");
  EXPECT_EQ(two->config["norm_topk_prob"], false);
  EXPECT_EQ(two->config["shared_expert_intermediate_size"], 10);
  const std::vector<int64_t> gate{1, 8}, expert{6, 8};
  EXPECT_TRUE(two->weights->take("model.layers.0.mlp.shared_expert_gate.weight", gate));
  EXPECT_TRUE(two->weights->take("model.layers.0.mlp.experts.2.up_proj.weight", expert));
}

TEST(MoeGguf, RefusesWhatIsMissingOrDisagrees) {
  const TempDir dir;
  const auto code = [&](const MoeGguf& file) {
    const auto c = file.open(dir);
    return c ? std::string() : std::string(c.error().code());
  };
  EXPECT_EQ(code({.without = {"expert_count"}}), "gguf.key_missing");
  EXPECT_EQ(code({.without = {"ffn_gate_inp"}}), "gguf.tensor_missing");
  EXPECT_EQ(code({.without = {"ffn_gate_exps"}}), "gguf.tensor_missing");
  EXPECT_EQ(code({.gate_exps = {8, 7, 3}}), "gguf.key_value");
  // Too few experts in a stack: the one that the model asks for is named.
  const auto few = MoeGguf{.gate_exps = {8, 6, 2}}.open(dir);
  ASSERT_TRUE(few) << few.error().debug();
  const auto missing =
      few->weights->take("model.layers.0.mlp.experts.2.gate_proj.weight", std::vector<int64_t>{6, 8});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), "weights.missing");
}

}  // namespace
}  // namespace qw
