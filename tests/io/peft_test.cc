// PEFT folders: every key that is refused, names and shapes of tensors, patterns, and the way out and in.
// Logits against PEFT: tests/golden/peft_golden_test.cc.
#include "io/peft/peft.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "backend/cpu/cpu_backend.h"
#include "base/json.h"
#include "base/mmap.h"
#include "io/hf/safetensors.h"
#include "io/hf/safetensors_writer.h"
#include "tests/io/temp_dir.h"

namespace qw {
namespace {

// The matrices of a tiny model, without numbers.
struct Skeleton {
  std::vector<Weight> owned;
  std::vector<Weight*> list;
  explicit Skeleton(bool tied = true) {
    add("model.embed_tokens.weight", {10, 4});
    add("model.layers.0.self_attn.q_proj.weight", {6, 4});
    add("model.layers.0.self_attn.q_proj.bias", {6});
    add("model.layers.0.mlp.up_proj.weight", {8, 4});
    add("model.layers.1.self_attn.q_proj.weight", {6, 4});
    add("model.layers.1.mlp.up_proj.weight", {8, 4});
    add("model.norm.weight", {4});
    if (!tied) add("lm_head.weight", {10, 4});
    for (Weight& w : owned) list.push_back(&w);
  }

 private:
  void add(const std::string& name, const Shape& shape) {
    Weight w;
    w.name = name;
    w.shape = shape;
    owned.push_back(w);
  }
};

const std::string kQ0 = "model.layers.0.self_attn.q_proj";
const std::string kUp1 = "model.layers.1.mlp.up_proj";

Json plain_config() {
  return {{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", 6}, {"target_modules", {"q_proj", "up_proj"}}};
}

struct PeftTest : testing::Test {
  TempDir dir;
  std::unique_ptr<Backend> backend = make_cpu_backend({1, ""}).value();
  Skeleton model;

  void config(const Json& json) { dir.write("adapter_config.json", json.dump()); }
  void tensors(const std::vector<SafetensorsPlan>& plans) {
    auto w = SafetensorsWriter::create(dir / "adapter_model.safetensors", plans).value();
    for (size_t i = 0; i < plans.size(); ++i) {
      int64_t n = *safetensors_dtype_bytes(plans[i].dtype);
      for (const int64_t d : plans[i].shape) n *= d;
      const std::vector<std::byte> zeros(static_cast<size_t>(n));
      ASSERT_TRUE(w.write(i, 0, std::span<const std::byte>(zeros)));
    }
    ASSERT_TRUE(w.finish());
  }
  std::vector<SafetensorsPlan> pair(const std::string& module, int64_t n, int64_t rank = 2) {
    return {{"base_model.model." + module + ".lora_A.weight", "F32", {rank, 4}},
            {"base_model.model." + module + ".lora_B.weight", "F32", {n, rank}}};
  }
  Result<LoraAdapter> read() { return read_peft_adapter(dir.path(), model.list, *backend); }
  std::string code() {
    const auto r = read();
    return r ? "" : r.error().debug();
  }
  std::vector<float> values(const Weight& w) {
    std::vector<float> out(static_cast<size_t>(w.shape.elements()));
    backend->download(out.data(), w.data);
    return out;
  }
};

TEST_F(PeftTest, NamesShapesAndScale) {
  config(plain_config());
  tensors(pair(kQ0, 6));
  const auto a = read();
  ASSERT_TRUE(a) << a.error().debug();
  EXPECT_TRUE(a->warnings.empty());
  ASSERT_EQ(a->set->all().size(), 1U);
  const Lora* lora = a->set->find(kQ0 + ".weight");
  ASSERT_NE(lora, nullptr);
  EXPECT_EQ(lora->scale, 3.0);
  EXPECT_EQ(lora->a.name, kQ0 + ".lora_A.weight");
  EXPECT_EQ(lora->a.shape, (Shape{2, 4}));
  EXPECT_EQ(lora->b.shape, (Shape{6, 2}));
  EXPECT_FALSE(lora->a.trainable);
  EXPECT_TRUE(
      read_peft_adapter(dir.path(), model.list, *backend, true)->set->find(kQ0 + ".weight")->b.trainable);
}

TEST_F(PeftTest, HalfPrecisionTensorsBecomeF32) {
  config(plain_config());
  auto plans = pair(kQ0, 6);
  plans[0].dtype = "BF16";
  plans[1].dtype = "F16";
  tensors(plans);
  const auto a = read();
  ASSERT_TRUE(a) << a.error().debug();
  EXPECT_EQ(a->set->find(kQ0 + ".weight")->b.format, QuantFormat::f32);
  plans[0].dtype = "I32";
  tensors(plans);
  EXPECT_TRUE(code().starts_with("hf.dtype")) << code();
}

TEST_F(PeftTest, RefusesByNameWhatItCannotCompute) {
  tensors(pair(kQ0, 6));
  const std::vector<std::pair<std::string, Json>> refused{{"use_dora", true},
                                                          {"modules_to_save", {"lm_head"}},
                                                          {"bias", "all"},
                                                          {"fan_in_fan_out", true},
                                                          {"lora_bias", true},
                                                          {"layer_replication", {{0, 1}}},
                                                          {"use_qalora", true},
                                                          {"trainable_token_indices", {1, 2}},
                                                          {"megatron_config", {{"a", 1}}},
                                                          {"init_lora_weights", "pissa"},
                                                          {"init_lora_weights", "loftq"},
                                                          {"alora_invocation_tokens", {3}},
                                                          {"rank_pattern", {{"q_.*", 4}}}};
  for (const auto& [key, value] : refused) {
    Json json = plain_config();
    json[key] = value;
    config(json);
    const auto r = read();
    ASSERT_FALSE(r) << key;
    EXPECT_EQ(r.error().code(), "peft.unsupported");
    EXPECT_EQ(r.error().arg("key"), key);
  }
}

TEST_F(PeftTest, LetsThroughWhatIsOff) {
  tensors(pair(kQ0, 6));
  Json json = plain_config();
  json.update(Json{{"use_dora", false},
                   {"modules_to_save", nullptr},
                   {"bias", "none"},
                   {"megatron_core", "x"},
                   {"loftq_config", Json::object()},
                   {"layer_replication", nullptr},
                   {"revision", nullptr},
                   {"init_lora_weights", "gaussian"},
                   {"eva_config", nullptr},
                   {"peft_version", "0.21"},
                   {"brand_new", 1}});
  config(json);
  const auto a = read();
  ASSERT_TRUE(a) << a.error().debug();
  ASSERT_EQ(a->warnings.size(), 1U);
  EXPECT_EQ(a->warnings[0].arg("key"), "brand_new");
}

TEST_F(PeftTest, WantsTheKeysThatCount) {
  tensors(pair(kQ0, 6));
  const auto with = [&](const std::string& key, const Json& value) {
    Json json = plain_config();
    if (value.is_discarded())
      json.erase(key);
    else
      json[key] = value;
    config(json);
    return code();
  };
  const Json absent = Json::parse("", nullptr, false);
  for (const std::string key : {"peft_type", "r", "lora_alpha", "target_modules"})
    EXPECT_TRUE(with(key, absent).starts_with("peft.key")) << key;
  for (const Json& bad : {Json(0), Json(-1), Json(1.5), Json("2"), Json(1e18), Json(uint64_t{1} << 63)})
    EXPECT_TRUE(with("r", bad).starts_with("peft.key")) << bad;
  for (const Json& bad : {Json("1"), Json(-1), Json(Json::array())})
    EXPECT_TRUE(with("lora_alpha", bad).starts_with("peft.key")) << bad;
  EXPECT_TRUE(with("peft_type", "IA3").starts_with("peft.key"));
  EXPECT_TRUE(with("target_modules", {1}).starts_with("peft.key"));
  EXPECT_TRUE(with("lora_dropout", 2).starts_with("peft.key"));
  EXPECT_TRUE(with("rank_pattern", {1}).starts_with("peft.key"));
  EXPECT_TRUE(with("r", 3).starts_with("weights.shape"));
}

TEST_F(PeftTest, TensorsMustBelongToTheModel) {
  config(plain_config());
  const auto name = [&](const std::string& tensor) {
    auto plans = pair(kQ0, 6);
    plans.push_back({tensor, "F32", {2, 4}});
    tensors(plans);
    return code();
  };
  EXPECT_TRUE(name("base_model.model.model.layers.7.mlp.up_proj.lora_A.weight").starts_with("peft.tensor"));
  EXPECT_TRUE(name("base_model.model.model.norm.weight").starts_with("peft.tensor"));
  EXPECT_TRUE(name("base_model.model.model.embed_tokens.lora_A.weight").starts_with("peft.tensor"));
  EXPECT_TRUE(name("model.layers.0.mlp.up_proj.lora_A.weight").starts_with("peft.tensor"));
  EXPECT_TRUE(name("base_model.model." + kUp1 + ".lora_A.weight").starts_with("weights.missing"));
  EXPECT_TRUE(name("base_model.model.lm_head.lora_A.weight").starts_with("peft.not_target"));
  tensors({});
  EXPECT_TRUE(code().starts_with("peft.empty"));
}

// PEFT repeats the embedding and the head in the file where an adapter touches them.
TEST_F(PeftTest, ACopyOfTheEmbeddingMustBeTheModelsOwn) {
  config(plain_config());
  const auto with = [&](const std::string& tensor, int64_t rows) {
    auto plans = pair(kQ0, 6);
    plans.push_back({"base_model.model." + tensor, "BF16", {rows, 4}});
    tensors(plans);
  };
  const auto embed = [&](float value) {  // the model's own, all of one value
    Weight& w = model.owned.front();
    w.data = Tensor(backend->alloc(40 * sizeof(float)).value(), 0, w.shape, DType::f32);
    backend->fill(w.data, value);
  };
  with("lm_head.base_layer.weight", 10);
  const auto unread = read();
  ASSERT_TRUE(unread) << unread.error().debug();
  ASSERT_EQ(unread->warnings.size(), 1U);
  EXPECT_EQ(unread->warnings[0].code(), "peft.copy_unread");
  embed(0);
  for (const std::string tensor :
       {"lm_head.base_layer.weight", "lm_head.weight", "model.embed_tokens.weight"}) {
    with(tensor, 10);
    EXPECT_EQ(code(), "") << tensor;
    EXPECT_TRUE(read()->warnings.empty());
  }
  with("lm_head.weight", 11);
  EXPECT_TRUE(code().starts_with("weights.shape"));
  embed(0.5);
  with("lm_head.weight", 10);
  EXPECT_TRUE(code().starts_with("peft.copy_differs"));
}

TEST_F(PeftTest, MissingFilesAreNamed) {
  EXPECT_TRUE(code().starts_with("peft.no_config"));
  config(plain_config());
  EXPECT_TRUE(code().starts_with("peft.no_weights"));
  dir.write("adapter_model.bin", "x");
  EXPECT_TRUE(code().starts_with("peft.pickle"));
  dir.write("adapter_config.json", "[]");
  EXPECT_TRUE(code().starts_with("hf.not_object"));
}

TEST_F(PeftTest, PatternsGiveModulesTheirOwnRankAndAlpha) {
  Json json = plain_config();
  json["rank_pattern"] = {{"layers.1.mlp.up_proj", 3}, {"up_proj", 4}, {"^q_proj", 9}};
  json["alpha_pattern"] = {{"^model.layers.1.mlp.up_proj", 16}};
  json["use_rslora"] = true;
  config(json);
  auto plans = pair(kQ0, 6);
  for (auto& p : pair(kUp1, 8, 3)) plans.push_back(p);
  for (auto& p : pair("model.layers.0.mlp.up_proj", 8, 4)) plans.push_back(p);
  tensors(plans);
  const auto a = read();
  ASSERT_TRUE(a) << a.error().debug();
  EXPECT_EQ(a->set->find(kQ0 + ".weight")->scale, 6 / std::sqrt(2.0));
  EXPECT_EQ(a->set->find(kUp1 + ".weight")->scale, 16 / std::sqrt(3.0));
  EXPECT_EQ(a->set->find("model.layers.0.mlp.up_proj.weight")->scale, 6 / std::sqrt(4.0));
}

TEST_F(PeftTest, TargetsOfAnExpressionAreTheModulesPresent) {
  Json json = plain_config();
  json["target_modules"] = ".*layers\\.0.*q_proj";
  config(json);
  tensors(pair(kQ0, 6));
  EXPECT_EQ(read()->spec.targets, std::vector<std::string>{kQ0});
  json["target_modules"] = "all-linear";
  config(json);
  EXPECT_EQ(read()->spec.targets, std::vector<std::string>{"all-linear"});
  json["layers_to_transform"] = {0};
  config(json);
  EXPECT_EQ(read()->spec.targets, std::vector<std::string>{kQ0});
}

TEST_F(PeftTest, ANewAdapterStartsAsPeftDoes) {
  const LoraSpec spec{.rank = 3, .alpha = 6, .targets = {"all-linear"}};
  const auto a = make_lora_adapter(spec, model.list, *backend, 7);
  ASSERT_TRUE(a) << a.error().debug();
  ASSERT_EQ(a->set->all().size(), 4U);
  EXPECT_EQ(a->set->weights().size(), 8U);
  double sum = 0, largest = 0;
  for (const Weight* w : a->set->weights()) {
    EXPECT_TRUE(w->trainable);
    for (const float v : values(*w)) {
      EXPECT_TRUE(v == 0.0F || w->name.ends_with("lora_A.weight"));
      sum += static_cast<double>(v);
      largest = std::max(largest, std::abs(static_cast<double>(v)));
    }
  }
  EXPECT_LE(largest, 0.5);  // 1/√4
  EXPECT_GT(largest, 0.4);
  EXPECT_LT(std::abs(sum), 5.0);  // 48 numbers of variance 1/12: σ = 2
  const auto b = make_lora_adapter({.rank = 3, .targets = {"layers.1.mlp.up_proj"}}, model.list, *backend, 7);
  ASSERT_TRUE(b);
  ASSERT_EQ(b->set->all().size(), 1U);
  EXPECT_EQ(values(b->set->find(kUp1 + ".weight")->a), values(a->set->find(kUp1 + ".weight")->a));
  const auto c = make_lora_adapter(spec, model.list, *backend, 8);
  EXPECT_NE(values(c->set->find(kUp1 + ".weight")->a), values(a->set->find(kUp1 + ".weight")->a));
}

TEST_F(PeftTest, TheHeadOfATiedModelIsCalledLmHead) {
  const LoraSpec spec{.rank = 1, .targets = {"lm_head"}};
  const auto tied = make_lora_adapter(spec, model.list, *backend, 1);
  ASSERT_TRUE(tied);
  EXPECT_NE(tied->set->find("model.embed_tokens.weight"), nullptr);
  Skeleton own(false);
  const auto untied = make_lora_adapter(spec, own.list, *backend, 1);
  ASSERT_TRUE(untied);
  EXPECT_NE(untied->set->find("lm_head.weight"), nullptr);
  ASSERT_TRUE(write_peft_adapter(dir / "out", *tied, *backend));
  const auto back = read_peft_adapter(dir / "out", model.list, *backend);
  ASSERT_TRUE(back) << back.error().debug();
  EXPECT_NE(back->set->find("model.embed_tokens.weight"), nullptr);
  EXPECT_EQ(lora_module("model.embed_tokens.weight"), "lm_head");
  EXPECT_EQ(lora_module(kQ0 + ".weight"), kQ0);
}

TEST_F(PeftTest, RefusesASpecThatMakesNothing) {
  const auto make = [&](const LoraSpec& spec) {
    const auto r = make_lora_adapter(spec, model.list, *backend, 1);
    return r ? "" : r.error().debug();
  };
  EXPECT_EQ(make({.rank = 0, .targets = {"q_proj"}}), "lora.value key=rank found=0 expected=1..");
  EXPECT_TRUE(make({.dropout = 1, .targets = {"q_proj"}}).starts_with("lora.value key=dropout"));
  EXPECT_TRUE(make({.alpha = NAN, .targets = {"q_proj"}}).starts_with("lora.value key=alpha"));
  EXPECT_TRUE(make({}).starts_with("lora.value key=targets"));
  EXPECT_EQ(make({.targets = {"q_proj", "proj"}}), "lora.no_target target=proj");
}

TEST_F(PeftTest, WritesWhatItReads) {
  LoraSpec spec{.rank = 2, .alpha = 5, .dropout = 0.25, .rslora = true, .targets = {"q_proj", "up_proj"}};
  spec.base_model = "some/model";
  spec.rank_pattern = {{"layers.1.mlp.up_proj", 3}};
  spec.alpha_pattern = {{"q_proj", 1.5}};
  const auto made = make_lora_adapter(spec, model.list, *backend, 3);
  ASSERT_TRUE(made);
  for (const int round : {1, 2}) {  // into no folder, and over one
    SCOPED_TRACE(round);
    ASSERT_TRUE(write_peft_adapter(dir / "out", *made, *backend));
    const auto back = read_peft_adapter(dir / "out", model.list, *backend);
    ASSERT_TRUE(back) << back.error().debug();
    EXPECT_EQ(back->spec.rank, 2);
    EXPECT_EQ(back->spec.alpha, 5.0);
    EXPECT_EQ(back->spec.dropout, 0.25);
    EXPECT_TRUE(back->spec.rslora);
    EXPECT_EQ(back->spec.targets, spec.targets);
    EXPECT_EQ(back->spec.base_model, "some/model");
    EXPECT_EQ(back->spec.rank_pattern, spec.rank_pattern);
    EXPECT_EQ(back->spec.alpha_pattern, spec.alpha_pattern);
    EXPECT_TRUE(back->warnings.empty());
    ASSERT_EQ(back->set->all().size(), made->set->all().size());
    for (const auto& [name, lora] : made->set->all()) {
      EXPECT_EQ(values(back->set->find(name)->a), values(lora.a)) << name;
      EXPECT_EQ(values(back->set->find(name)->b), values(lora.b)) << name;
      EXPECT_EQ(back->set->find(name)->scale, lora.scale);
    }
  }
}

// Experts in stacks (PEFT's target_parameters): 3 experts, hidden 4, ffn 5, rank 2.
struct PeftStackTest : PeftTest {
  const std::string experts = "model.layers.0.mlp.experts";
  PeftStackTest() {
    model.owned.clear();
    model.list.clear();
    for (int e = 0; e < 3; ++e)
      for (const auto& [name, shape] :
           {std::pair{"gate_proj", Shape{5, 4}}, {"up_proj", Shape{5, 4}}, {"down_proj", Shape{4, 5}}}) {
        Weight w;
        w.name = fmt::format("{}.{}.{}.weight", experts, e, name);
        w.shape = shape;
        model.owned.push_back(w);
      }
    for (Weight& w : model.owned) model.list.push_back(&w);
    Json c = plain_config();
    c["target_modules"] = Json::array();
    c["target_parameters"] = {"experts.gate_up_proj", "experts.down_proj"};
    config(c);
  }
  // A and B hold their own indices.
  void counted(const std::vector<SafetensorsPlan>& plans) {
    auto w = SafetensorsWriter::create(dir / "adapter_model.safetensors", plans).value();
    for (size_t i = 0; i < plans.size(); ++i) {
      std::vector<float> v(static_cast<size_t>(plans[i].shape[0] * plans[i].shape[1]));
      for (size_t k = 0; k < v.size(); ++k) v[k] = static_cast<float>(k);
      ASSERT_TRUE(w.write(i, 0, std::span<const float>(v)));
    }
    ASSERT_TRUE(w.finish());
  }
  std::vector<SafetensorsPlan> stack(const std::string& module, int64_t in, int64_t out, int64_t rank = 2) {
    return {{"base_model.model." + module + ".lora_A.weight", "F32", {3 * rank, in}},
            {"base_model.model." + module + ".lora_B.weight", "F32", {out, 3 * rank}}};
  }
};

TEST_F(PeftStackTest, SlicesOfEveryExpert) {
  auto plans = stack(experts + ".base_layer", 4, 10);
  const auto down = stack(experts, 5, 4);
  plans.insert(plans.end(), down.begin(), down.end());
  counted(plans);
  const auto a = read();
  ASSERT_TRUE(a) << a.error().debug();
  EXPECT_EQ(a->set->all().size(), 9U);
  const Lora* up = a->set->find(experts + ".1.up_proj.weight");
  ASSERT_NE(up, nullptr);
  EXPECT_EQ(up->scale, 3.0);
  // A: rows 2 and 3 of [6, 4]. B: rows 5 to 9 of [10, 6], of which columns 1 and 4 are expert 1's.
  EXPECT_EQ(values(up->a), (std::vector<float>{8, 9, 10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(values(up->b), (std::vector<float>{31, 34, 37, 40, 43, 46, 49, 52, 55, 58}));
  EXPECT_EQ(a->set->find(experts + ".2.down_proj.weight")->b.shape, (Shape{4, 2}));
  EXPECT_EQ(lora_rank(a->spec, experts + ".1.up_proj"), 2);
}

// Older versions of PEFT took a stack [E, out, in] as [E, in, out].
TEST_F(PeftStackTest, TheOlderLayoutIsTheTransposed) {
  counted(stack(experts, 10, 4));
  const auto a = read();
  ASSERT_TRUE(a) << a.error().debug();
  const Lora* gate = a->set->find(experts + ".0.gate_proj.weight");
  ASSERT_NE(gate, nullptr);
  EXPECT_EQ(gate->a.shape, (Shape{2, 4}));
  EXPECT_EQ(values(gate->a),
            (std::vector<float>{0, 6, 12, 18, 3, 9, 15, 21}));  // columns 0 and 3 of B [4, 6]
  EXPECT_EQ(values(gate->b), (std::vector<float>{0, 10, 1, 11, 2, 12, 3, 13, 4, 14}));
}

TEST_F(PeftStackTest, RefusesSizesThatFitNoStack) {
  for (const auto& plans : {stack(experts, 4, 9), stack(experts, 3, 10), stack(experts, 4, 10, 3)}) {
    counted(plans);
    EXPECT_NE(code().find("weights.shape"), std::string::npos) << code();
  }
  counted({stack(experts, 4, 10)[0]});
  EXPECT_NE(code(), "");
}

}  // namespace
}  // namespace qw
