// trainer.h, checkpoint.h, run.h and log.h on a tiny model with random weights.
#include "train/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>

#include "backend/cpu/cpu_backend.h"
#include "base/mmap.h"
#include "base/rng.h"
#include "io/peft/peft.h"
#include "train/checkpoint.h"
#include "train/init.h"
#include "train/log.h"
#include "train/run.h"

namespace qw::train {
namespace {

namespace fs = std::filesystem;

const Json kTiny = {{"model_type", "qwen3"},
                    {"vocab_size", 64},
                    {"hidden_size", 32},
                    {"intermediate_size", 48},
                    {"num_hidden_layers", 2},
                    {"num_attention_heads", 4},
                    {"num_key_value_heads", 2},
                    {"head_dim", 8},
                    {"max_position_embeddings", 128},
                    {"rms_norm_eps", 1e-6},
                    {"tie_word_embeddings", true}};

Dataset walks(uint64_t seed, int n) {
  Dataset d;
  for (int i = 0; i < n; ++i) {  // each token is the one before plus the document's own stride
    const Rng rng(seed + static_cast<uint64_t>(i));
    const auto length = static_cast<int32_t>(8 + rng.below(20, 0));
    const auto stride = static_cast<int32_t>(1 + rng.below(3, 1));
    d.documents.push_back({static_cast<int64_t>(d.ids.size()), length});
    for (int32_t t = 0; t < length; ++t) {
      d.ids.push_back((i + t * stride) % 64);
      d.target.push_back(1);
    }
  }
  return d;
}

TrainConfig small() {
  TrainConfig c;
  c.task = "pretrain";
  c.seq_len = 32;
  c.batch_size = 4;
  c.grad_accum = 2;
  c.steps = 40;
  c.lr = 3e-3;
  c.precision = "f32";
  return c;
}

// One training from random weights.
struct Course {
  explicit Course(const TrainConfig& given, Products products = Products::f32_packed,
                  const Json& shape = kTiny)
      : config(given), backend(make_cpu_backend({.threads = 2, .isa = {}, .products = products}).value()) {
    auto made = make_model(shape);
    EXPECT_TRUE(made) << made.error().debug();
    model = std::move(made->model);
    InitVisitor init(*backend, 3, 0.05);
    model->visit(init);
    EXPECT_TRUE(init.finish());
    model->visit(list);
    TrainerParts parts{*backend, list.weights(), language_objective({model, nullptr}, data), data};
    parts.eval_objective = language_objective({model, nullptr}, eval);
    parts.eval_data = &eval;
    trainer = Trainer::create(std::move(parts), config).value();
  }
  std::vector<double> losses(int n) {
    std::vector<double> out;
    for (int i = 0; i < n; ++i) {
      const auto r = trainer->step();
      EXPECT_TRUE(r) << r.error().debug();
      if (r) out.push_back(r->loss);
    }
    return out;
  }

  TrainConfig config;
  std::unique_ptr<Backend> backend;
  Dataset data = walks(1, 60), eval = walks(900, 20);
  std::shared_ptr<Model> model;
  WeightList list;
  std::unique_ptr<Trainer> trainer;
};

struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "qw-train-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

TEST(Trainer, LearnsInEveryOptimiserAndPrecision) {
  for (const char* optimizer : {"adamw", "muon"})
    for (const Products products : {Products::f32_packed, Products::bf16}) {
      TrainConfig c = small();
      c.optimizer = optimizer;
      Course course(c, products);
      const double before = course.trainer->evaluate()->loss;
      course.losses(40);
      EXPECT_NEAR(before, std::log(64.0), 0.5);
      EXPECT_LT(course.trainer->evaluate()->loss, 0.8 * before) << optimizer;
    }
}

// A step is the mean over all targets of all its micro-batches, however they are cut.
TEST(Trainer, AccumulationIsALargerBatch) {
  TrainConfig c = small();
  c.packing = false;
  Course two(c);
  c.batch_size = 8;
  c.grad_accum = 1;
  Course one(c);
  const std::vector<double> a = two.losses(10), b = one.losses(10);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 2e-5);
}

TEST(Trainer, ThreadsChangeNoBit) {
  Course two(small());
  Course one(small());
  one.backend = make_cpu_backend({.threads = 1, .isa = {}, .products = Products::f32_packed}).value();
  TrainerParts parts{*one.backend, one.list.weights(), language_objective({one.model, nullptr}, one.data),
                     one.data};
  one.trainer = Trainer::create(std::move(parts), one.config).value();
  EXPECT_EQ(two.losses(10), one.losses(10));
}

TEST(Trainer, AResumedRunHasTheBitsOfAnUndisturbedOne) {
  for (const char* optimizer : {"adamw", "muon"}) {
    const Folder folder;
    TrainConfig c = small();
    c.optimizer = optimizer;
    c.ema = 0.9;
    Course whole(c), before(c), after(c);
    whole.losses(9);
    const std::vector<double> rest = whole.losses(12);
    before.losses(9);
    ASSERT_TRUE(save_checkpoint(folder.path, *before.trainer, config_json(c), *before.backend, 2));
    const auto newest = newest_checkpoint(folder.path);
    ASSERT_TRUE(newest);
    const Status loaded = load_checkpoint(*newest, *after.trainer, config_json(c), *after.backend);
    ASSERT_TRUE(loaded) << loaded.error().debug();
    EXPECT_EQ(after.trainer->done(), 9);
    EXPECT_EQ(after.losses(12), rest);
    EXPECT_EQ(after.trainer->evaluate()->loss, whole.trainer->evaluate()->loss);  // the moving averages
  }
}

TEST(Trainer, ACheckpointOfAnotherRunIsRefused) {
  const Folder folder;
  const TrainConfig c = small();
  Course one(c);
  one.losses(1);
  ASSERT_TRUE(save_checkpoint(folder.path, *one.trainer, config_json(c), *one.backend, 2));
  const fs::path newest = *newest_checkpoint(folder.path);
  TrainConfig other = c;
  other.weight_decay = 1;
  EXPECT_EQ(load_checkpoint(newest, *one.trainer, config_json(other), *one.backend).error().code(),
            "train.checkpoint_config");
  Course changed(c);
  changed.data.ids[3] ^= 1;
  EXPECT_EQ(load_checkpoint(newest, *changed.trainer, config_json(c), *changed.backend).error().code(),
            "train.data_changed");
  const std::string state = read_file(newest / "state.json").value();
  for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{
           {"version", "1"}, {"index", 61}, {"index", -1}, {"epoch", -1}, {"step", -1}, {"step", 0.5}}) {
    Json hostile = Json::parse(state);
    (key == "version" ? hostile : hostile["state"])[key] = value;
    std::ofstream(newest / "state.json") << hostile;
    EXPECT_EQ(load_checkpoint(newest, *one.trainer, config_json(c), *one.backend).error().code(),
              "train.checkpoint_state")
        << key;
  }
  std::ofstream(newest / "state.json") << Json{{"version", 1}, {"config", config_json(c)}, {"state", 5}};
  EXPECT_FALSE(load_checkpoint(newest, *one.trainer, config_json(c), *one.backend));
  std::ofstream(newest / "state.json") << Json{{"version", 1}, {"config", 5}, {"state", Json::object()}};
  EXPECT_FALSE(load_checkpoint(newest, *one.trainer, config_json(c), *one.backend));
  std::ofstream(newest / "state.json") << state;
  fs::resize_file(newest / "tensors.safetensors", 1000);
  EXPECT_EQ(load_checkpoint(newest, *one.trainer, config_json(c), *one.backend).error().code(),
            "safetensors.truncated");
  std::ofstream(newest / "state.json") << "{}";
  EXPECT_EQ(load_checkpoint(newest, *one.trainer, config_json(c), *one.backend).error().code(),
            "train.checkpoint_state");
}

// Tensors go to the file in portions.
TEST(Trainer, ATensorOfSeveralPortionsIsKeptWhole) {
  const Folder folder;
  const TrainConfig c = small();
  Json shape = kTiny;
  shape["vocab_size"] = 140'000;  // 4.5 million elements
  Course one(c, Products::f32_packed, shape), other(c, Products::f32_packed, shape);
  ASSERT_TRUE(save_checkpoint(folder.path, *one.trainer, config_json(c), *one.backend, 2));
  for (const Weight* w : other.list.weights()) other.backend->fill(w->data, 0.0);
  const Status loaded =
      load_checkpoint(*newest_checkpoint(folder.path), *other.trainer, config_json(c), *other.backend);
  ASSERT_TRUE(loaded) << loaded.error().debug();
  for (size_t i = 0; i < one.list.weights().size(); ++i) {
    const Weight& w = *one.list.weights()[i];
    std::vector<float> before(static_cast<size_t>(w.shape.elements())), after(before.size());
    one.backend->download(before.data(), w.data);
    other.backend->download(after.data(), other.list.weights()[i]->data);
    EXPECT_TRUE(before == after) << w.name;
  }
}

// a ← ema · a + (1 − ema) · w after each step, beginning with the weights as they were.
TEST(Trainer, TheAverageFollowsTheWeights) {
  TrainConfig c = small();
  c.ema = 0.75;
  Course one(c), plain(small());
  std::vector<std::vector<double>> average;
  const auto read = [](Course& course, size_t i) {
    const Weight& w = *course.list.weights()[i];
    std::vector<float> values(static_cast<size_t>(w.shape.elements()));
    course.backend->download(values.data(), w.data);
    return std::vector<double>(values.begin(), values.end());
  };
  for (size_t i = 0; i < one.list.weights().size(); ++i) average.push_back(read(one, i));
  for (int step = 0; step < 4; ++step) {
    one.losses(1);
    for (size_t i = 0; i < average.size(); ++i) {
      const std::vector<double> now = read(one, i);
      for (size_t j = 0; j < now.size(); ++j) average[i][j] = 0.75 * average[i][j] + 0.25 * now[j];
    }
  }
  const double own = plain.losses(4).size() == 4 ? plain.trainer->evaluate()->loss : 0;
  EXPECT_NE(one.trainer->evaluate()->loss, own);  // the average is what is evaluated
  const Trainer::Averaged averaged(*one.trainer);
  for (size_t i = 0; i < average.size(); ++i) {
    const std::vector<double> got = read(one, i);
    for (size_t j = 0; j < got.size(); ++j)
      ASSERT_NEAR(got[j], average[i][j], 1e-6) << one.list.weights()[i]->name << " " << j;
  }
}

TEST(Trainer, TheAverageStandsInForTheWeightsWithoutACopy) {
  TrainConfig c = small();
  c.ema = 0.9;
  Course one(c);
  const Weight& w = *one.list.weights()[0];
  const void* own = w.data.device_ptr();
  {
    const Trainer::Averaged averaged(*one.trainer);
    EXPECT_NE(w.data.device_ptr(), own);
  }
  EXPECT_EQ(w.data.device_ptr(), own);
}

TEST(Trainer, OldCheckpointsGo) {
  const Folder folder;
  const TrainConfig c = small();
  Course one(c);
  fs::create_directories(folder.path / ".step-00000001.abcdef");  // of a run that was killed
  for (int i = 0; i < 4; ++i) {
    one.losses(1);
    ASSERT_TRUE(save_checkpoint(folder.path, *one.trainer, config_json(c), *one.backend, 2));
  }
  int n = 0;
  for (const auto& entry : fs::directory_iterator(folder.path)) n += entry.is_directory();
  EXPECT_EQ(n, 2);  // nor is an unfinished one left
  EXPECT_EQ(newest_checkpoint(folder.path)->filename(), "step-00000004");
}

TEST(Trainer, ALossThatIsNoNumberChangesNothing) {
  Course one(small());
  one.losses(2);
  Weight* w = one.list.weights()[3];
  std::vector<float> keep(static_cast<size_t>(w->shape.elements()));
  one.backend->download(keep.data(), w->data);
  one.backend->fill(w->data, std::numeric_limits<double>::quiet_NaN());
  const auto bad = one.trainer->step();
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), "train.non_finite");
  EXPECT_EQ(one.trainer->done(), 2);
  one.backend->upload(w->data, keep.data());
  Course other(small());
  other.losses(2);
  EXPECT_EQ(one.losses(3), other.losses(3));  // the same samples again
}

TEST(Trainer, ThePlanCountsWhatTheStepTakes) {
  Course one(small());
  TrainerParts parts{*one.backend, one.list.weights(), language_objective({one.model, nullptr}, one.data),
                     one.data};
  const TrainMemory plan = Trainer::plan(parts, one.list.weights(), one.config);
  int64_t parameters = 0;
  for (const Weight* w : one.list.weights()) parameters += w->shape.elements();
  EXPECT_EQ(plan.weights, static_cast<size_t>(4 * parameters));
  EXPECT_EQ(plan.gradients, static_cast<size_t>(4 * parameters));
  EXPECT_EQ(plan.optimizer, static_cast<size_t>(8 * parameters));
  TrainConfig again = one.config;
  again.recompute = true;
  const TrainMemory less = Trainer::plan(parts, one.list.weights(), again);
  EXPECT_LT(less.activations, plan.activations);
}

// `n` documents of `length` tokens each.
Dataset alike(int n, int32_t length) {
  Dataset d;
  for (int i = 0; i < n; ++i) {
    d.documents.push_back({static_cast<int64_t>(d.ids.size()), length});
    d.ids.insert(d.ids.end(), static_cast<size_t>(length), 1);
    d.target.insert(d.target.end(), static_cast<size_t>(length), 1);
  }
  return d;
}

TEST(Trainer, ThePlanIsOfTheLongestSamplesOfAnyEpochAndOfTheEvaluation) {
  Course one(small());
  TrainConfig c = one.config;
  c.packing = false;
  const auto plan = [&](const Dataset& data, const Dataset* eval) {
    const train::Learner learner{one.model, nullptr};
    TrainerParts parts{*one.backend, one.list.weights(), language_objective(learner, data), data};
    if (eval != nullptr) parts.eval_objective = language_objective(learner, *eval);
    parts.eval_data = eval;
    return Trainer::plan(parts, one.list.weights(), c);
  };
  // The first epoch, in the order of the file, never brings the four long ones together.
  Dataset mixed = alike(12, 2);
  const Dataset brief = alike(4, 10), at_length = alike(4, 120);
  for (size_t i = 0; i < 4; ++i) mixed.documents[3 * i] = {0, 24};
  c.shuffle = false;
  const TrainMemory apart = plan(mixed, nullptr), together = plan(alike(4, 24), nullptr);
  EXPECT_EQ(apart.activations, together.activations);
  const TrainMemory same = plan(brief, &brief), more = plan(brief, &at_length);
  EXPECT_EQ(same.activations, plan(brief, nullptr).activations);
  EXPECT_EQ(same.data, 2 * plan(brief, nullptr).data);
  EXPECT_GT(more.activations, same.activations);
}

// Dropout keeps a copy of each adapter's input for the way back.
TEST(Trainer, ThePlanCountsTheDropoutOfAnAdapter) {
  Course one(small());
  const LoraSpec spec{.rank = 2, .targets = {"q_proj", "down_proj"}};
  const auto adapter = make_lora_adapter(spec, one.list.weights(), *one.backend, 1);
  ASSERT_TRUE(adapter) << adapter.error().debug();
  TrainerParts parts{*one.backend, adapter->set->weights(),
                     language_objective({one.model, adapter->set}, one.data), one.data};
  TrainConfig c = one.config;
  c.method = "lora";
  const auto activations = [&] { return Trainer::plan(parts, one.list.weights(), c).activations; };
  c.lora.dropout = 0;
  const size_t without = activations();
  c.lora.dropout = 0.1;
  const int64_t least_tokens = 100;      // of 4 × 32
  const int64_t inputs = 2 * (32 + 48);  // of both layers, by row
  EXPECT_GE(activations(), without + static_cast<size_t>(4 * least_tokens * inputs));
}

// Micro-steps are answered one after the other, and random numbers are told apart by the place in the step.
TEST(Objective, OnPolicyPromptsAreCountedThroughAWholeStep) {
  Course one(small());
  std::vector<std::pair<size_t, int64_t>> asked;  // prompts, those before them
  const auto generate = [&](const std::vector<std::vector<int32_t>>& prompts, int64_t, int64_t first) {
    asked.emplace_back(prompts.size(), first);
    return std::vector(prompts.size(), std::vector<int32_t>{7});
  };
  const auto objective = distill_objective({one.model, nullptr}, one.model, one.data, {}, generate);
  const std::vector<std::pair<size_t, int64_t>> expected{{3, 0}, {1, 3}, {2, 4}};
  for (const int64_t step : {1, 2}) {
    asked.clear();
    EXPECT_EQ(objective->prepare({{0, 1, 2}, {3}, {4, 5}}, step).value(), 6);
    EXPECT_EQ(asked, expected);
  }
}

// As transformers begins: norms that store w − 1 at 0, the delta rule's own norm at 1.
TEST(Init, HybridsBeginWithNormsThatChangeNothing) {
  const Json config = {
      {"model_type", "qwen3_5_text"},
      {"vocab_size", 64},
      {"hidden_size", 16},
      {"intermediate_size", 24},
      {"num_hidden_layers", 2},
      {"layer_types", {"linear_attention", "full_attention"}},
      {"num_attention_heads", 2},
      {"num_key_value_heads", 1},
      {"head_dim", 8},
      {"linear_conv_kernel_dim", 4},
      {"linear_key_head_dim", 4},
      {"linear_value_head_dim", 4},
      {"linear_num_key_heads", 2},
      {"linear_num_value_heads", 4},
      {"max_position_embeddings", 128},
      {"rms_norm_eps", 1e-6},
      {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 1e6}, {"partial_rotary_factor", 0.5}}},
      {"tie_word_embeddings", true}};
  auto made = make_model(config);
  ASSERT_TRUE(made) << made.error().debug();
  const auto backend = make_cpu_backend({.threads = 1, .isa = {}, .products = {}}).value();
  InitVisitor init(*backend, 5, 0.02);
  made->model->visit(init);
  ASSERT_TRUE(init.finish());
  WeightList list;
  made->model->visit(list);
  std::map<std::string, std::pair<float, float>> range;
  for (const Weight* w : list.weights()) {
    std::vector<float> values(static_cast<size_t>(w->shape.elements()));
    backend->download(values.data(), w->data);
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    range[w->name] = {*low, *high};
  }
  using Range = std::pair<float, float>;
  EXPECT_EQ(range.at("model.layers.0.input_layernorm.weight"), Range(0, 0));
  EXPECT_EQ(range.at("model.layers.1.self_attn.q_norm.weight"), Range(0, 0));
  EXPECT_EQ(range.at("model.norm.weight"), Range(0, 0));
  EXPECT_EQ(range.at("model.layers.0.linear_attn.norm.weight"), Range(1, 1));
  EXPECT_EQ(range.at("model.layers.0.linear_attn.dt_bias"), Range(1, 1));
  const auto [low, high] = range.at("model.layers.0.linear_attn.A_log");
  EXPECT_LT(low, high);
  EXPECT_LE(high, std::log(16.0F));
}

TEST(RunFolder, IsNoneOfAModelOrAnAdapterWithoutCheckpoint) {
  for (const char* file :
       {"config.json", "model-00001-of-00002.safetensors", "model.gguf", "adapter_config.json"}) {
    const Folder folder;
    std::ofstream(folder.path / file) << "mine";
    const auto refused = RunFolder::open(folder.path);
    ASSERT_FALSE(refused) << file;
    EXPECT_EQ(refused.error().code(), "train.holds_model");
    EXPECT_EQ(refused.error().arg("file"), (folder.path / file).string());
    EXPECT_FALSE(fs::exists(folder.path / ".lock"));  // nor is anything put there
    const fs::path checkpoint = folder.path / "checkpoints" / "step-00000003";
    fs::create_directories(checkpoint);
    std::ofstream(checkpoint / "state.json") << "{}";
    EXPECT_TRUE(RunFolder::open(folder.path)) << file;
  }
  const Folder folder;
  std::ofstream(folder.path / "notes.txt") << "mine";
  EXPECT_TRUE(RunFolder::open(folder.path));
}

TEST(RunFolder, FreesWhatAKilledRunLeftOfItsResult) {
  const Folder folder;
  const fs::path out = folder.path / "out";
  fs::create_directories(out);
  for (const char* left : {".out.qw-abcdef", ".other.qw-abcdef", ".out.backup"}) {
    fs::create_directories(folder.path / left);
    std::ofstream(folder.path / left / "model.safetensors") << "large";
  }
  for (const char* left : {"model.gguf.qw-abcdef", "q4.gguf.qw-abcdef"}) std::ofstream(out / left) << "large";
  {
    const RunFolder first = RunFolder::open(out).value();
    EXPECT_FALSE(fs::exists(folder.path / ".out.qw-abcdef"));
    EXPECT_FALSE(fs::exists(out / "model.gguf.qw-abcdef"));
    EXPECT_TRUE(fs::exists(folder.path / ".other.qw-abcdef"));
    EXPECT_TRUE(fs::exists(folder.path / ".out.backup"));
    EXPECT_TRUE(fs::exists(out / "q4.gguf.qw-abcdef"));
    // Of a run that is at work nothing goes.
    fs::create_directories(folder.path / ".out.qw-fedcba");
    EXPECT_EQ(RunFolder::open(out).error().code(), "train.in_use");
    EXPECT_TRUE(fs::exists(folder.path / ".out.qw-fedcba"));
  }
}

TEST(RunLog, DropsWhatCameAfterTheCheckpoint) {
  const Folder folder;
  const fs::path file = folder.path / "log.jsonl";
  {
    RunLog log = RunLog::open(file, 0).value();
    for (int step = 1; step <= 5; ++step) ASSERT_TRUE(log.append({{"step", step}, {"loss", 1.0 / step}}));
  }
  std::ofstream(file, std::ios::app) << "{\"step\": 6, \"lo";  // torn by a crash
  {
    RunLog log = RunLog::open(file, 3).value();
    ASSERT_TRUE(log.append({{"step", 4}, {"loss", 9.0}}));
    EXPECT_EQ(log.lines().size(), 4u);
  }
  EXPECT_EQ(read_file(file).value(),
            "{\"step\":1,\"loss\":1.0}\n{\"step\":2,\"loss\":0.5}\n{\"step\":3,\"loss\":0.3333333333333333}\n"
            "{\"step\":4,\"loss\":9.0}\n");
}

TEST(RunLog, TheReportNeedsNothingElseAndEscapes) {
  std::vector<Json> lines;
  for (int step = 1; step <= 3000; ++step)
    lines.push_back({{"step", step}, {"loss", 3.0 / step}, {"tokens", 10}});
  lines.push_back({{"step", 3000}, {"eval_loss", 0.5}});
  const std::string html = report_html("a<b>&\"c\"", lines, {{"model", "<script>"}});
  EXPECT_NE(html.find("a&lt;b&gt;&amp;&quot;c&quot;"), html.npos);
  EXPECT_EQ(html.find("<script"), html.npos);
  EXPECT_NE(html.find("<path d=\"M"), html.npos);
  EXPECT_NE(html.find("3,000 steps, 30,000 tokens"), html.npos);
  EXPECT_LT(html.size(), 200000u);  // long curves are thinned
}

// A constant learning rate of 0.003: the mean of three is one unit in the last place away from the mean of
// the two that are left over, and axis ticks that far apart add up to nothing.
TEST(RunLog, ACurveThatIsFlatButForRoundingIsDrawn) {
  std::vector<Json> lines;
  for (int step = 1; step <= 2402; ++step) lines.push_back({{"step", step}, {"loss", 1.0}, {"lr", 0.003}});
  EXPECT_LT(report_html("flat", lines, {}).size(), 200000u);
}

TEST(RunLog, LinesThatNoRunWroteArePassedOver) {
  const Folder folder;
  const fs::path file = folder.path / "log.jsonl";
  std::ofstream(file) << "{\"step\":\"1\",\"loss\":1}\n[1]\n\n{\"loss\":1}\n"
                         "{\"step\":1,\"loss\":2.0,\"tokens\":\"many\"}\n";
  const RunLog log = RunLog::open(file, 3).value();
  ASSERT_EQ(log.lines().size(), 1u);
  EXPECT_NE(report_html("r", log.lines(), {}).find("1 steps, 0 tokens"), std::string::npos);
}

}  // namespace
}  // namespace qw::train
