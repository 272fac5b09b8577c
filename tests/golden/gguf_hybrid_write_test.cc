// Hybrids through GGUF files that qw writes: what llama.cpp's converter changes is done and undone, so that
// logits and drafts stay. With $QW_WRITTEN set the files stay there too (tools/goldens/check_hybrid_gguf.py
// holds them against the converter's).
#include <unistd.h>

#include <cstdlib>

#include "golden/model_runner.h"
#include "io/checkpoint.h"
#include "io/gguf_export.h"

namespace qw::golden {
namespace {

namespace fs = std::filesystem;

struct GgufHybridWrite : testing::TestWithParam<Case> {};

TEST_P(GgufHybridWrite, KeepsLogitsAndDrafts) {
  const fs::path folder = GetParam().path("model");
  const auto runner = Runner::open(folder, "");
  ASSERT_TRUE(runner);
  const char* kept = std::getenv("QW_WRITTEN");
  const fs::path file = kept != nullptr
                            ? fs::path(kept) / (GetParam().name + ".gguf")
                            : fs::temp_directory_path() / fmt::format("qw_hybrid_{}.gguf", ::getpid());
  WeightList list;
  runner->model().visit(list);
  WeightRows rows(list.weights(), runner->backend());
  const GgufModelPlan plan{.config = open_checkpoint(folder).value().config,
                           .generation = {},
                           .tokenizer = {},
                           .name = "tiny",
                           .format = QuantFormat::f32};
  const Status status = write_gguf(file, plan, rows);
  ASSERT_TRUE(status) << status.error().debug();
  const auto again = Runner::open(file, "");
  ASSERT_TRUE(again);
  Expected want(folder / "expected.safetensors");
  for (const std::string prompt : {"case1", "case2"}) {
    const std::vector<int32_t> ids = want.ids(prompt + ".input_ids");
    // Norms and decays come back with a rounding each.
    EXPECT_TRUE(compare(prompt, again->logits(ids), runner->logits(ids), 5e-4));
    if (runner->model().has_mtp()) {
      ASSERT_TRUE(again->model().has_mtp());
      EXPECT_TRUE(compare(prompt + " drafts", again->mtp_logits(ids, 2), runner->mtp_logits(ids, 2), 5e-4));
    }
  }
  if (kept == nullptr) fs::remove(file);
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufHybridWrite, testing::ValuesIn(cases("hybrid")), param_name);

}  // namespace
}  // namespace qw::golden
