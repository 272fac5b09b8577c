// Qwen3-Next and Qwen3.5 against transformers and a float64 reference of their drafting layer: logits within
// 2e-3, greedy tokens equal, recurrent states within 1e-3, drafts, and ten AdamW steps, of all weights and of
// an adapter. Data: tools/goldens/README.md, "hybrid".
#include "backend/cpu/cpu_backend.h"
#include "golden/lesson.h"
#include "golden/model_runner.h"

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

// `gradient_error`: how far the gradients of the reference in f32 are from f64.
LessonBounds bounds(double gradient_error) {
  return {.floor = kLossUlp, .gradients = 4 * gradient_error, .norm_spread = true};
}

TEST_P(HybridGolden, TenStepsOfAllWeightsAgree) {
  const Case& c = GetParam();
  if (!c.facts.contains("learning")) return;
  Lesson lesson(c.path("learning"), c.path("model"), std::nullopt);
  expect_ten_steps(lesson, bounds(c.facts["gradient_error"].get<double>()));
}

TEST_P(HybridGolden, TenStepsOfAnAdapterAgree) {
  const Case& c = GetParam();
  if (!c.facts.contains("lora")) return;
  Lesson lesson(c.path("lora"), c.path("model"), c.path("model") / "adapter");
  expect_ten_steps(lesson, bounds(c.facts["lora_gradient_error"].get<double>()));
}

INSTANTIATE_TEST_SUITE_P(Golden, HybridGolden, testing::ValuesIn(cases("hybrid")), param_name);

}  // namespace
}  // namespace qw::golden
