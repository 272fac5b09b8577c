// Learning against PyTorch: loss of a ragged batch, the gradient of every weight (or of every factor of an
// adapter), and the losses of ten AdamW steps. Data: tools/goldens/README.md, "learning".
#include "golden/lesson.h"

namespace qw::golden {
namespace {

struct Learning : testing::TestWithParam<Case> {};

TEST_P(Learning, LossGradientsAndTenSteps) {
  const Case& c = GetParam();
  const bool lora = c.facts.contains("adapter");
  Lesson lesson(c.path("file"), c.path("model"), lora ? std::optional(c.path("adapter")) : std::nullopt);
  expect_ten_steps(lesson, {.floor = 1e-6, .gradients = 1e-5});
}

INSTANTIATE_TEST_SUITE_P(Golden, Learning, testing::ValuesIn(cases("learning")), param_name);

}  // namespace
}  // namespace qw::golden
