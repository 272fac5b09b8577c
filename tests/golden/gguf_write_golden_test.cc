// GGUF files that qw writes: a model has the same logits from its folder and from the file, in every format
// that holds its numbers exactly, and nearly the same from rounded ones.
#include <unistd.h>

#include "golden/golden.h"
#include "golden/model_runner.h"
#include "io/checkpoint.h"
#include "io/gguf/export.h"
#include "io/peft/peft.h"

namespace qw::golden {
namespace {

namespace fs = std::filesystem;

struct Written {
  fs::path path = fs::temp_directory_path() / fmt::format("qw_written_{}.gguf", ::getpid());
  Status status;

  Written(const fs::path& folder, Runner& runner, QuantFormat format,
          std::shared_ptr<const AdapterSet> adapter = nullptr) {
    WeightList list;
    runner.model().visit(list);
    WeightRows rows(list.weights(), runner.backend(), std::move(adapter));
    const GgufModelPlan plan{.config = open_checkpoint(folder).value().config,
                             .generation = {},
                             .tokenizer = {},
                             .name = "tiny",
                             .format = format};
    status = write_gguf(path, plan, rows);
  }
  ~Written() { fs::remove(path); }
};

struct GgufWriteGolden : testing::TestWithParam<Case> {};

TEST_P(GgufWriteGolden, HasTheLogitsOfTheFolderBitForBit) {
  const fs::path folder = data_folder() / "models" / GetParam().name;
  const auto runner = Runner::open(folder, "");
  const auto weights = GetParam().facts["weights"].get<std::string>();
  const Written file(folder, *runner,
                     weights == "float32"   ? QuantFormat::f32
                     : weights == "float16" ? QuantFormat::f16
                                            : QuantFormat::bf16);
  if (GetParam().name.ends_with("_sliding") || !GetParam().facts.value("gguf", true)) {
    ASSERT_FALSE(file.status);
    EXPECT_EQ(file.status.error().code(), "gguf.cannot_hold");
    EXPECT_FALSE(fs::exists(file.path));
    return;
  }
  ASSERT_TRUE(file.status) << file.status.error().debug();
  const auto again = Runner::open(file.path, "");
  ASSERT_NE(again, nullptr);
  Expected expected(folder / "expected.safetensors");
  for (const std::string prompt : {"case1", "case2"}) {
    const std::vector<int32_t> ids = expected.ids(prompt + ".input_ids");
    EXPECT_EQ(again->logits(ids).values, runner->logits(ids).values) << prompt;
  }
}

TEST_P(GgufWriteGolden, EightBitsAreNear) {
  const fs::path folder = data_folder() / "models" / GetParam().name;
  const auto runner = Runner::open(folder, "");
  const Written file(folder, *runner, QuantFormat::q8_0);
  if (!file.status) {  // sliding windows; rows that are no whole blocks
    const std::string& code = file.status.error().code();
    EXPECT_TRUE(code == "gguf.cannot_hold" || code == "gguf.odd_columns") << code;
    return;
  }
  const auto again = Runner::open(file.path, "");
  Expected expected(folder / "expected.safetensors");
  const std::vector<int32_t> ids = expected.ids("case1.input_ids");
  // 8 bits a weight, activations rounded to 8 bits as well: about 1 % of logits of standard deviation 3 to 4
  // in each of some 15 products one after another.
  EXPECT_LT(max_difference(again->logits(ids), runner->logits(ids)), 1.5);
  EXPECT_GT(max_difference(again->logits(ids), runner->logits(ids)), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufWriteGolden, testing::ValuesIn(cases("models")), param_name);

struct GgufMergeGolden : testing::TestWithParam<Case> {};

TEST_P(GgufMergeGolden, HasTheLogitsOfTheAdaptedModel) {
  const auto runner = Runner::open(GetParam().path("model"), "");
  WeightList list;
  runner->model().visit(list);
  const auto adapter = read_peft_adapter(GetParam().path("adapter"), list.weights(), runner->backend());
  ASSERT_TRUE(adapter);
  const Written file(GetParam().path("model"), *runner, QuantFormat::f32, adapter->set);
  ASSERT_TRUE(file.status) << file.status.error().debug();
  Expected expected(GetParam().path("adapter") / "expected.safetensors");
  EXPECT_TRUE(compare("logits", Runner::open(file.path, "")->logits(expected.ids("input_ids")),
                      expected.f32("logits"), 5e-4));
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufMergeGolden, testing::ValuesIn(cases("adapters")), param_name);

}  // namespace
}  // namespace qw::golden
