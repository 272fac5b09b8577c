// Hybrids through GGUF files that qw writes: what llama.cpp's converter changes is done and undone, so that
// logits and drafts stay. With $QW_WRITTEN set the files stay there too (tools/goldens/check_hybrid_gguf.py
// holds them against the converter's).
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "golden/model_runner.h"
#include "io/checkpoint.h"
#include "io/gguf/export.h"
#include "quant/requantise.h"
#include "tests/io/temp_dir.h"

namespace qw::golden {
namespace {

namespace fs = std::filesystem;

void write_f32(Runner& runner, const fs::path& folder, const fs::path& file) {
  WeightList list;
  runner.model().visit(list);
  WeightRows rows(list.weights(), runner.backend());
  const GgufModelPlan plan{.config = open_checkpoint(folder).value().config,
                           .generation = {},
                           .tokenizer = {},
                           .name = "tiny",
                           .format = QuantFormat::f32};
  const Status status = write_gguf(file, plan, rows);
  ASSERT_TRUE(status) << status.error().debug();
}

void requantise(const fs::path& from, const fs::path& to, std::string_view type, Backend& backend) {
  const auto in = GgufFile::open(from).value();
  const auto report = quant::requantise_gguf(to, in, backend, {.recipe = quant::find_recipe(type)});
  ASSERT_TRUE(report) << report.error().debug();
}

// Whether a matrix of the model has its columns in another order than the hub.
bool has_columns_elsewhere(Runner& runner) {
  WeightList list;
  runner.model().visit(list);
  const auto& all = list.weights();
  return std::any_of(all.begin(), all.end(), [](const Weight* w) { return w->input_order.defined(); });
}

struct GgufHybridWrite : testing::TestWithParam<Case> {};

TEST_P(GgufHybridWrite, KeepsLogitsAndDrafts) {
  const fs::path folder = GetParam().path("model");
  const auto runner = Runner::open(folder, "");
  ASSERT_TRUE(runner);
  const char* kept = std::getenv("QW_WRITTEN");
  const fs::path file = kept != nullptr
                            ? fs::path(kept) / (GetParam().name + ".gguf")
                            : fs::temp_directory_path() / fmt::format("qw_hybrid_{}.gguf", ::getpid());
  ASSERT_NO_FATAL_FAILURE(write_f32(*runner, folder, file));
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

// Value heads lie in another order in such a file. Blocks of ssm_out that span two heads cannot be put back:
// the columns stay, and the weight says where they belong. The same numbers as f32, which are put back, are
// the twin; and a file written again has them in the file's order once more.
TEST_P(GgufHybridWrite, BlocksThatSpanHeadsGiveTheSame) {
  const fs::path folder = GetParam().path("model");
  const auto runner = Runner::open(folder, "");
  ASSERT_TRUE(runner);
  const TempDir dir;
  const auto path = [&](const char* name) { return dir.path() / name; };
  ASSERT_NO_FATAL_FAILURE(write_f32(*runner, folder, path("f32.gguf")));
  ASSERT_NO_FATAL_FAILURE(requantise(path("f32.gguf"), path("q8.gguf"), "q8_0", runner->backend()));
  ASSERT_NO_FATAL_FAILURE(requantise(path("q8.gguf"), path("twin.gguf"), "f32", runner->backend()));
  const auto blocks = Runner::open(path("q8.gguf"), ""), twin = Runner::open(path("twin.gguf"), "");
  ASSERT_TRUE(blocks && twin);
  ASSERT_NO_FATAL_FAILURE(write_f32(*blocks, path("q8.gguf"), path("again.gguf")));
  const auto again = Runner::open(path("again.gguf"), "");
  ASSERT_TRUE(again);
  const Json config = open_checkpoint(folder).value().config;
  const int64_t dim = config["linear_value_head_dim"], block = traits(QuantFormat::q8_0).block;
  const bool spans = dim % block != 0 && config["linear_num_value_heads"].get<int64_t>() * dim % block == 0;
  const bool next = config["model_type"] == "qwen3_next";  // keeps the hub's order
  EXPECT_EQ(has_columns_elsewhere(*blocks), spans && !next);
  EXPECT_FALSE(has_columns_elsewhere(*twin));
  Expected want(folder / "expected.safetensors");
  const std::vector<int32_t> ids = want.ids("case2.input_ids");
  const Host<float> logits = twin->logits(ids);
  EXPECT_TRUE(compare("dense", blocks->logits(ids), logits, 5e-4));
  EXPECT_TRUE(compare("paged", blocks->paged_logits(ids), logits, 5e-4));
  EXPECT_TRUE(compare("written again", again->logits(ids), logits, 5e-4));
  if (runner->model().has_mtp()) {
    EXPECT_TRUE(compare("drafts", blocks->mtp_logits(ids, 2), twin->mtp_logits(ids, 2), 5e-4));
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufHybridWrite, testing::ValuesIn(cases("hybrid")), param_name);

}  // namespace
}  // namespace qw::golden
