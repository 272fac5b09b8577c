// Learning against PyTorch: loss of a ragged batch, the gradient of every weight (or of every factor of an
// adapter), and the losses of ten AdamW steps. Data: tools/goldens/README.md, "learning".
#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "golden/golden.h"
#include "io/checkpoint.h"
#include "io/peft.h"
#include "models/model.h"
#include "ops/cross_entropy.h"
#include "train/optimizer.h"

namespace qw::golden {
namespace {

// One model in training: the model of a golden case, on the CPU in f32.
struct Lesson {
  explicit Lesson(const Case& c) : expected(c.path("file")) {
    auto checkpoint = open_checkpoint(c.path("model"));
    EXPECT_TRUE(checkpoint) << checkpoint.error().debug();
    const bool full = !c.facts.contains("adapter");
    auto loaded = load_model(checkpoint->config, *checkpoint->weights, *backend, {.trainable = full});
    EXPECT_TRUE(loaded) << loaded.error().debug();
    model = std::move(loaded->model);
    WeightList list;
    model->visit(list);
    weights = list.weights();
    if (!full) {
      auto adapter = read_peft_adapter(c.path("adapter"), weights, *backend, true);
      EXPECT_TRUE(adapter) << adapter.error().debug();
      set = adapter->set;
      weights = set->weights();
    }
    for (int i = 0; expected.has("document" + std::to_string(i)); ++i)
      documents.push_back(expected.ids("document" + std::to_string(i)));
  }

  // Forward (and backward where a tape is wanted): the mean over all next-token targets of the batch.
  double loss(bool backward) {
    arena.reset();
    gradients.zero();
    Tape tape(gradients);
    Ctx cx{*backend, arena, backward ? &tape : nullptr};
    const Batch batch = dense_batch(documents);
    const AdapterMap map{{0, batch.n_rows(), set}};
    if (set) cx.adapters = &map;
    std::vector<int32_t> targets;
    for (const auto& d : documents) {
      targets.insert(targets.end(), d.begin() + 1, d.end());
      targets.push_back(-1);
    }
    const auto n = static_cast<double>(targets.size() - documents.size());
    const Tensor loss = ops::cross_entropy(cx, model->forward(cx, batch), targets, 1.0 / n);
    if (backward) tape.backward(cx, loss);
    float value = 0;
    backend->download(&value, loss);
    return static_cast<double>(value);
  }

  Expected expected;
  std::unique_ptr<Backend> backend = make_cpu_backend({}).value();
  Arena arena{*backend};
  Gradients gradients{*backend};
  std::unique_ptr<Model> model;
  std::vector<Weight*> weights;     // those that learn
  std::shared_ptr<AdapterSet> set;  // null: all weights of the model
  std::vector<std::vector<int32_t>> documents;
};

struct Learning : testing::TestWithParam<Case> {};

TEST_P(Learning, LossGradientsAndTenSteps) {
  Lesson lesson(GetParam());
  ASSERT_EQ(lesson.documents.size(), 3u);
  const Host<float> losses = lesson.expected.f32("losses");
  const Host<float> norms = lesson.expected.f32("grad_norms");
  const Host<double> losses64 = lesson.expected.f64("losses_f64");
  const Host<double> norms64 = lesson.expected.f64("grad_norms_f64");

  // The reference's own distance from f64 measures what f32 costs here; an engine in f32 may be a few times
  // as far. 4 covers another order of summation in every product of the model.
  double spread = 1e-6;
  for (size_t i = 0; i < losses.values.size(); ++i)
    spread = std::max(spread, std::abs(static_cast<double>(losses.values[i]) - losses64.values[i]));
  const double tolerance = 4 * spread;

  auto made =
      train::Optimizer::create(*lesson.backend, {.weight_decay = 0.1, .max_grad_norm = 1.0}, lesson.weights);
  ASSERT_TRUE(made) << made.error().debug();
  train::Optimizer& optimizer = *made;
  for (size_t step = 0; step < norms.values.size(); ++step) {
    EXPECT_NEAR(lesson.loss(true), losses64.values[step], tolerance) << "step " << step;
    if (step == 0) {
      for (const Weight* w : lesson.weights) {
        const Tensor grad = lesson.gradients.of(*w);
        Host<float> got{{w->shape.dims().begin(), w->shape.dims().end()},
                        std::vector<float>(static_cast<size_t>(grad.elements()))};
        lesson.backend->download(got.values.data(), grad);
        EXPECT_TRUE(compare("grad." + w->name, got, lesson.expected.f32("grad." + w->name), 1e-5));
      }
    }
    const double norm = optimizer.step(lesson.gradients, lesson.arena, 1e-3);
    EXPECT_NEAR(norm, norms64.values[step], 1e-4 * norms64.values[step]) << "step " << step;
  }
  EXPECT_NEAR(lesson.loss(false), losses64.values[norms.values.size()], tolerance);
  EXPECT_TRUE(lesson.expected.unread().empty()) << "first: " << lesson.expected.unread().front();
}

INSTANTIATE_TEST_SUITE_P(Golden, Learning, testing::ValuesIn(cases("learning")), param_name);

}  // namespace
}  // namespace qw::golden
