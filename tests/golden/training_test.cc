// Loss curves of 20 steps against PyTorch, transformers and PEFT: full and LoRA, DPO and distillation. Data:
// tools/goldens/README.md, "training"; the constants are those of tools/goldens/training.py.
#include "backend/cpu/cpu_backend.h"
#include "golden/lesson.h"
#include "io/checkpoint.h"
#include "io/peft/peft.h"
#include "models/model.h"
#include "train/trainer.h"

namespace qw::golden {
namespace {

using train::TrainConfig;

TrainConfig config_of(const Case& c) {
  TrainConfig config;
  config.task = c.facts["task"].get<std::string>();
  config.method = c.facts.contains("adapter") ? "lora" : "full";
  config.seq_len = 64;
  config.batch_size = 2;
  config.grad_accum = 2;
  config.steps = 20;
  config.packing = config.shuffle = false;
  config.lr = 2e-3;
  config.min_lr = 2e-4;
  config.warmup_steps = 3;
  config.weight_decay = 0.1;
  config.max_grad_norm = 1.0;
  config.dpo = {.beta = 0.3, .label_smoothing = 0.1};
  config.distill.beta = c.facts.value("beta", 0.0);
  config.distill.temperature = c.facts.value("temperature", 1.0);
  return config;
}

std::shared_ptr<Model> open(const std::filesystem::path& path, Backend& backend, bool trainable) {
  auto checkpoint = open_checkpoint(path);
  EXPECT_TRUE(checkpoint) << checkpoint.error().debug();
  auto loaded = load_model(checkpoint->config, *checkpoint->weights, backend, {.trainable = trainable});
  EXPECT_TRUE(loaded) << loaded.error().debug();
  return std::move(loaded->model);
}

train::Dataset dataset_of(Expected& expected, const TrainConfig& config) {
  train::Dataset data;
  data.ids = expected.ids("ids");
  for (const int32_t t : expected.ids("target")) data.target.push_back(static_cast<uint8_t>(t));
  int64_t at = 0;
  for (const int32_t n : expected.ids("lengths")) {
    data.documents.push_back({at, n});
    at += n;
  }
  data.documents_a_sample = config.task == "dpo" ? 2 : 1;
  return data;
}

// The parts of one case; `recompute` and `products` are what the curve must not depend on.
struct Course {
  Course(const Case& c, TrainConfig given, Products products)
      : expected(c.path("file")),
        config(std::move(given)),
        backend(make_cpu_backend({.threads = 0, .isa = {}, .products = products}).value()),
        data(dataset_of(expected, config)) {
    const bool full = config.method == "full";
    const auto model = open(c.path("model"), *backend, full);
    model->visit(list);
    train::Learner learner{model, nullptr};
    std::vector<Weight*> weights = list.weights();
    if (!full) {
      auto adapter = read_peft_adapter(c.path("adapter"), list.weights(), *backend, true);
      EXPECT_TRUE(adapter) << adapter.error().debug();
      weights = adapter->set->weights();
      learner.adapters = adapter->set;
    }
    train::TrainerParts parts{*backend, weights, nullptr, data};
    if (config.task == "dpo")
      parts.objective = train::dpo_objective(learner, full ? open(c.path("model"), *backend, false) : model,
                                             data, config.dpo);
    else if (config.task == "distill")
      parts.objective =
          train::distill_objective(learner, open(c.path("teacher"), *backend, false), data, config.distill);
    else
      parts.objective = train::language_objective(learner, data);
    trainer = train::Trainer::create(std::move(parts), config).value();
  }

  Expected expected;
  TrainConfig config;
  std::unique_ptr<Backend> backend;
  train::Dataset data;
  WeightList list;
  std::unique_ptr<train::Trainer> trainer;
};

struct Training : testing::TestWithParam<Case> {};

TEST_P(Training, TwentyStepsEqualTheReference) {
  Course course(GetParam(), config_of(GetParam()), Products::f32_packed);
  const Host<float> losses = course.expected.f32("losses"), norms = course.expected.f32("grad_norms");
  const Host<double> losses64 = course.expected.f64("losses_f64"),
                     norms64 = course.expected.f64("grad_norms_f64");
  ASSERT_EQ(losses64.values.size(), 20u);
  const double loss_off = reference_tolerance(losses, losses64, kLossUlp);
  const double norm_off = reference_tolerance(norms, norms64, kLossUlp);
  for (size_t step = 0; step < losses64.values.size(); ++step) {
    const auto r = course.trainer->step();
    ASSERT_TRUE(r) << r.error().debug();
    EXPECT_NEAR(r->loss, losses64.values[step], loss_off) << "step " << step + 1;
    EXPECT_NEAR(r->grad_norm, norms64.values[step], norm_off + 1e-4 * norms64.values[step])
        << "step " << step + 1;
  }
  EXPECT_TRUE(course.expected.unread().empty()) << "first: " << course.expected.unread().front();
}

TEST_P(Training, RecomputationChangesNoBit) {
  std::vector<double> curve[2];
  for (const bool recompute : {false, true}) {
    TrainConfig config = config_of(GetParam());
    config.recompute = recompute;
    config.lora.dropout = 0.1;  // the same draws when a layer runs again
    Course course(GetParam(), config, Products::f32);
    for (int i = 0; i < 3; ++i) curve[recompute ? 1 : 0].push_back(course.trainer->step()->loss);
  }
  EXPECT_EQ(curve[0], curve[1]);
}

INSTANTIATE_TEST_SUITE_P(Golden, Training, testing::ValuesIn(cases("training")), param_name);

}  // namespace
}  // namespace qw::golden
