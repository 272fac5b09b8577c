// LoRA adapters that PEFT saved: the logits of the adapted model, and what qw writes of them. With
// QW_KEEP_ADAPTERS=DIR the written adapters stay there, for tools/goldens/adapters.py --check-written.
#include <unistd.h>

#include <cstdlib>

#include "golden/golden.h"
#include "golden/model_runner.h"
#include "io/peft/peft.h"

namespace qw::golden {
namespace {

namespace fs = std::filesystem;

struct Adapted {
  explicit Adapted(const Case& c) : runner(Runner::open(c.path("model"), "")) { runner->model().visit(list); }

  LoraAdapter read(const fs::path& folder) {
    auto adapter = read_peft_adapter(folder, list.weights(), runner->backend());
    EXPECT_TRUE(adapter) << adapter.error().debug();
    EXPECT_TRUE(!adapter || adapter->warnings.empty()) << adapter->warnings.front().debug();
    return adapter ? *adapter : LoraAdapter{{}, std::make_shared<AdapterSet>()};
  }
  // Of all rows (dense), every one adapted.
  Host<float> logits(const std::vector<int32_t>& ids, const LoraAdapter& adapter) {
    const Batch batch = dense_batch({ids});
    const AdapterMap map{{0, batch.n_rows(), adapter.set}};
    Arena arena(runner->backend());
    Ctx cx{runner->backend(), arena};
    cx.adapters = &map;
    return download(runner->backend(), runner->model().forward(cx, batch));
  }

  std::unique_ptr<Runner> runner;
  WeightList list;
};

struct PeftGolden : testing::TestWithParam<Case> {};

TEST_P(PeftGolden, LogitsOfTheAdaptedModel) {
  Adapted adapted(GetParam());
  Expected expected(GetParam().path("adapter") / "expected.safetensors");
  const LoraAdapter adapter = adapted.read(GetParam().path("adapter"));
  const std::vector<int32_t> ids = expected.ids("input_ids");
  EXPECT_TRUE(compare("logits", adapted.logits(ids, adapter), expected.f32("logits"), 5e-4));
  EXPECT_EQ(expected.unread(), std::vector<std::string>{});
}

// What qw writes has the tensors of PEFT's file to the bit and says the same in its config.
TEST_P(PeftGolden, WrittenAgainIsTheSameAdapter) {
  Adapted adapted(GetParam());
  const LoraAdapter adapter = adapted.read(GetParam().path("adapter"));
  const char* keep = std::getenv("QW_KEEP_ADAPTERS");
  const fs::path parent =
      keep != nullptr ? fs::path(keep) : fs::temp_directory_path() / fmt::format("qw_peft_{}", ::getpid());
  const fs::path out = parent / GetParam().name;
  const Status written = write_peft_adapter(out, adapter, adapted.runner->backend());
  ASSERT_TRUE(written) << written.error().debug();

  const LoraAdapter back = adapted.read(out);
  Backend& backend = adapted.runner->backend();
  ASSERT_EQ(back.set->all().size(), adapter.set->all().size());
  for (const auto& [name, lora] : adapter.set->all()) {
    const Lora* again = back.set->find(name);
    ASSERT_NE(again, nullptr) << name;
    EXPECT_EQ(download(backend, again->a.data).values, download(backend, lora.a.data).values) << name;
    EXPECT_EQ(download(backend, again->b.data).values, download(backend, lora.b.data).values) << name;
    EXPECT_EQ(again->scale, lora.scale);
  }
  const Json peft = parse_json_file(GetParam().path("adapter") / "adapter_config.json").value();
  const Json ours = parse_json_file(out / "adapter_config.json").value();
  // An adapter over stacked parameters is written expert by expert: other modules, other ranks by name.
  const bool stacked = !peft.value("target_parameters", Json()).empty();
  for (const auto& [key, value] : ours.items()) {
    if (stacked && (key == "target_modules" || key == "rank_pattern" || key == "alpha_pattern")) continue;
    EXPECT_EQ(value, peft.value(key, Json())) << key;
  }
  if (keep == nullptr) fs::remove_all(parent);
}

INSTANTIATE_TEST_SUITE_P(Golden, PeftGolden, testing::ValuesIn(cases("adapters")), param_name);

}  // namespace
}  // namespace qw::golden
