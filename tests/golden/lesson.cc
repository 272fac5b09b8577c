#include "golden/lesson.h"

#include <algorithm>
#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "golden/model_runner.h"
#include "io/checkpoint.h"
#include "io/peft/peft.h"
#include "ops/cross_entropy.h"
#include "train/optimizer.h"

namespace qw::golden {

Lesson::Lesson(const Path& expected_file, const Path& model_path, const std::optional<Path>& adapter_path)
    : expected(expected_file), backend(make_cpu_backend({}).value()), arena(*backend), gradients(*backend) {
  auto checkpoint = open_checkpoint(model_path);
  EXPECT_TRUE(checkpoint) << checkpoint.error().debug();
  auto loaded = load_model(checkpoint->config, *checkpoint->weights, *backend, {.trainable = !adapter_path});
  EXPECT_TRUE(loaded) << loaded.error().debug();
  model = std::move(loaded->model);
  WeightList list;
  model->visit(list);
  weights = list.weights();
  if (adapter_path) {
    auto read = read_peft_adapter(*adapter_path, weights, *backend, true);
    EXPECT_TRUE(read) << read.error().debug();
    adapter = read->set;
    weights = adapter->weights();
  }
  for (int i = 0; expected.has("document" + std::to_string(i)); ++i)
    documents.push_back(expected.ids("document" + std::to_string(i)));
}

double Lesson::loss(bool backward) {
  arena.reset();
  gradients.zero();
  Tape tape(gradients);
  Ctx cx{*backend, arena, backward ? &tape : nullptr};
  const Batch batch = dense_batch(documents);
  const AdapterMap map{{0, batch.n_rows(), adapter}};
  if (adapter) cx.adapters = &map;
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

double reference_tolerance(const Host<float>& f32, const Host<double>& f64, double floor) {
  double spread = floor;
  for (size_t i = 0; i < f32.values.size(); ++i)
    spread = std::max(spread, std::abs(static_cast<double>(f32.values[i]) - f64.values[i]));
  return 4 * spread;
}

void expect_ten_steps(Lesson& lesson, const LessonBounds& bounds) {
  ASSERT_EQ(lesson.documents.size(), 3u);
  Expected& want = lesson.expected;
  const Host<float> losses = want.f32("losses"), norms = want.f32("grad_norms");
  const Host<double> losses64 = want.f64("losses_f64"), norms64 = want.f64("grad_norms_f64");
  const double loss_off = reference_tolerance(losses, losses64, bounds.floor);
  const double norm_off = bounds.norm_spread ? reference_tolerance(norms, norms64, bounds.floor) : 0.0;
  auto optimizer =
      train::Optimizer::create(*lesson.backend, {.weight_decay = 0.1, .max_grad_norm = 1.0}, lesson.weights);
  ASSERT_TRUE(optimizer) << optimizer.error().debug();
  for (size_t step = 0; step < norms.values.size(); ++step) {
    EXPECT_NEAR(lesson.loss(true), losses64.values[step], loss_off) << "step " << step;
    for (const Weight* w : step == 0 ? lesson.weights : std::vector<Weight*>{}) {
      const Host<float> grad = download(*lesson.backend, lesson.gradients.of(*w));
      EXPECT_TRUE(compare("grad." + w->name, grad, want.f32("grad." + w->name), bounds.gradients));
    }
    const double norm = optimizer->step(lesson.gradients, lesson.arena, 1e-3);
    EXPECT_NEAR(norm, norms64.values[step], norm_off + 1e-4 * norms64.values[step]) << "step " << step;
  }
  EXPECT_NEAR(lesson.loss(false), losses64.values[norms.values.size()], loss_off);
  EXPECT_TRUE(want.unread().empty()) << "first: " << want.unread().front();
}

}  // namespace qw::golden
