// Qwen3-Next and Qwen3.5 against transformers and a float64 reference of their drafting layer: logits within
// 2e-3, greedy tokens equal, recurrent states within 1e-3, drafts, and ten AdamW steps, of all weights and of
// an adapter. Data: tools/goldens/README.md, "hybrid".
#include <algorithm>
#include <cmath>
#include <numeric>

#include "backend/cpu/cpu_backend.h"
#include "golden/model_runner.h"
#include "io/checkpoint.h"
#include "io/peft.h"
#include "ops/cross_entropy.h"
#include "ops/linear.h"
#include "train/optimizer.h"

namespace qw::golden {
namespace {

constexpr double kLogits = 2e-3, kStates = 1e-3;

class HybridGolden : public testing::TestWithParam<Case> {
 protected:
  std::filesystem::path folder() const { return GetParam().path("model"); }
  Expected expected() const { return Expected(folder() / "expected.safetensors"); }
};

TEST_P(HybridGolden, LogitsStatesAndGreedyTokensAgree) {
  for (const std::string_view isa : supported_isas())
    for (const char* config : {"config.json", "config.legacy.json"}) {
      SCOPED_TRACE(fmt::format("{} {}", isa, config));
      const WithConfig shown(folder(), config);
      const auto runner = Runner::open(shown.path(), isa);
      ASSERT_TRUE(runner);
      Expected want = expected();
      for (const std::string prompt : {"case0", "case1", "case2"}) {
        const std::vector<int32_t> ids = want.ids(prompt + ".input_ids");
        const Host<float> logits = want.f32(prompt + ".logits_last16");
        States states;
        EXPECT_TRUE(
            compare(prompt + " dense", last_rows(runner->logits(ids), logits.shape[0]), logits, kLogits));
        EXPECT_TRUE(compare(prompt + " paged", last_rows(runner->paged_logits(ids, &states), logits.shape[0]),
                            logits, kLogits));
        expect_states(want, prompt, states, kStates);
        const std::vector<int32_t> greedy = want.ids(prompt + ".greedy");
        EXPECT_EQ(runner->greedy(ids, greedy.size()), greedy) << prompt;
      }
      const std::vector<std::string> drafts{"case0.mtp",   "case1.mtp",   "case2.mtp",
                                            "case0.chain", "case1.chain", "case2.chain"};
      EXPECT_EQ(want.unread(drafts), std::vector<std::string>{});
    }
}

// The drafting layer over a prompt and its greedy text, through pages, fed in two steps: what is computed
// from the cache equals the whole recomputation of the reference.
TEST_P(HybridGolden, DraftsAgree) {
  const auto runner = Runner::open(folder(), supported_isas().back());
  ASSERT_TRUE(runner);
  const Model& model = runner->model();
  ASSERT_EQ(model.has_mtp(), GetParam().facts["mtp"].get<bool>());
  if (!model.has_mtp()) return;
  Expected want = expected();
  for (const std::string prompt : {"case0", "case1", "case2"}) {
    std::vector<int32_t> ids = want.ids(prompt + ".input_ids");
    const size_t n_prompt = ids.size();
    const std::vector<int32_t> greedy = want.ids(prompt + ".greedy");
    ids.insert(ids.end(), greedy.begin(), greedy.end());
    const Host<float> logits = want.f32(prompt + ".mtp_logits_last16");
    EXPECT_TRUE(
        compare(prompt, last_rows(runner->mtp_logits(ids, n_prompt), logits.shape[0]), logits, kLogits));
    const std::vector<int32_t> begun(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(n_prompt) + 1);
    EXPECT_EQ(runner->mtp_chain(begun, 3), want.ids(prompt + ".chain")) << prompt;
  }
}

// A model that learns: all weights, or an adapter.
struct Lesson {
  Lesson(const Case& c, bool lora) : expected(c.path(lora ? "lora" : "learning")) {
    auto checkpoint = open_checkpoint(c.path("model"));
    EXPECT_TRUE(checkpoint) << checkpoint.error().debug();
    auto loaded = load_model(checkpoint->config, *checkpoint->weights, *backend, {.trainable = !lora});
    EXPECT_TRUE(loaded) << loaded.error().debug();
    model = std::move(loaded->model);
    model->visit(list);
    weights = list.weights();
    if (lora) {
      auto adapter = read_peft_adapter(c.path("model") / "adapter", list.weights(), *backend, true);
      EXPECT_TRUE(adapter) << adapter.error().debug();
      adapters = adapter->set;
      weights = adapter->set->weights();
    }
    for (int i = 0; expected.has("document" + std::to_string(i)); ++i)
      documents.push_back(expected.ids("document" + std::to_string(i)));
  }

  // The mean over all next-token targets of the batch.
  double loss(bool backward) {
    arena.reset();
    gradients.zero();
    Tape tape(gradients);
    Ctx cx{*backend, arena, backward ? &tape : nullptr};
    const Batch batch = dense_batch(documents);
    AdapterMap map;
    if (adapters) map.push_back({0, batch.n_rows(), adapters});
    if (adapters) cx.adapters = &map;
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
  std::shared_ptr<const AdapterSet> adapters;
  WeightList list;
  std::vector<Weight*> weights;
  std::vector<std::vector<int32_t>> documents;
};

std::string gradient_name(const Weight& w) {
  return "grad." + w.name;
}

// The reference's own distance from f64 measures what f32 costs here; an engine in f32 may be a few times as
// far. 4 covers another order of summation in every product of the model; 2e-6 is one unit in the last place
// of a loss of 12.
double tolerance(const Host<float>& f32, const Host<double>& f64) {
  double spread = 2e-6;
  for (size_t i = 0; i < f32.values.size(); ++i)
    spread = std::max(spread, std::abs(static_cast<double>(f32.values[i]) - f64.values[i]));
  return 4 * spread;
}

// `gradients`: how far those of the reference in f32 are from f64.
void expect_ten_steps(Lesson& lesson, double gradients) {
  ASSERT_EQ(lesson.documents.size(), 3u);
  const Host<float> losses = lesson.expected.f32("losses"), norms = lesson.expected.f32("grad_norms");
  const Host<double> losses64 = lesson.expected.f64("losses_f64"),
                     norms64 = lesson.expected.f64("grad_norms_f64");
  const double off = tolerance(losses, losses64);
  auto optimizer =
      train::Optimizer::create(*lesson.backend, {.weight_decay = 0.1, .max_grad_norm = 1.0}, lesson.weights);
  ASSERT_TRUE(optimizer) << optimizer.error().debug();
  for (size_t step = 0; step < norms.values.size(); ++step) {
    EXPECT_NEAR(lesson.loss(true), losses64.values[step], off) << "step " << step;
    for (const Weight* w : step == 0 ? lesson.weights : std::vector<Weight*>{}) {
      const Tensor grad = lesson.gradients.of(*w);
      Host<float> got{{w->shape.dims().begin(), w->shape.dims().end()},
                      std::vector<float>(static_cast<size_t>(grad.elements()))};
      lesson.backend->download(got.values.data(), grad);
      EXPECT_TRUE(compare(gradient_name(*w), got, lesson.expected.f32(gradient_name(*w)), 4 * gradients));
    }
    const double norm = optimizer->step(lesson.gradients, lesson.arena, 1e-3);
    EXPECT_NEAR(norm, norms64.values[step], tolerance(norms, norms64) + 1e-4 * norms64.values[step])
        << "step " << step;
  }
  EXPECT_NEAR(lesson.loss(false), losses64.values[norms.values.size()], off);
  EXPECT_TRUE(lesson.expected.unread().empty()) << "first: " << lesson.expected.unread().front();
}

TEST_P(HybridGolden, TenStepsOfAllWeightsAgree) {
  if (!GetParam().facts.contains("learning")) return;
  Lesson lesson(GetParam(), false);
  expect_ten_steps(lesson, GetParam().facts["gradient_error"].get<double>());
}

TEST_P(HybridGolden, TenStepsOfAnAdapterAgree) {
  if (!GetParam().facts.contains("lora")) return;
  Lesson lesson(GetParam(), true);
  expect_ten_steps(lesson, GetParam().facts["lora_gradient_error"].get<double>());
}

INSTANTIATE_TEST_SUITE_P(Golden, HybridGolden, testing::ValuesIn(cases("hybrid")), param_name);

}  // namespace
}  // namespace qw::golden
