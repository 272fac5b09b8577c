// PEFT's adapters written as GGUF and read back: the logits stay. With QW_KEEP_ADAPTERS=DIR the files stay
// there (llama.cpp computes with them: docs/io.md).
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "golden/golden.h"
#include "golden/model_runner.h"
#include "io/checkpoint.h"
#include "io/gguf/adapter.h"
#include "io/gguf/writer.h"

namespace qw::golden {
namespace {

namespace fs = std::filesystem;

struct Base {
  explicit Base(const fs::path& folder)
      : runner(Runner::open(folder, "")), config(open_checkpoint(folder).value().config) {
    runner->model().visit(list);
  }
  Host<float> logits(const std::vector<int32_t>& ids, const LoraAdapter& adapter) {
    const Batch batch = dense_batch({ids});
    const AdapterMap map{{0, batch.n_rows(), adapter.set}};
    Arena arena(runner->backend());
    Ctx cx{runner->backend(), arena};
    cx.adapters = &map;
    return download(runner->backend(), runner->model().forward(cx, batch));
  }
  Result<LoraAdapter> read(const fs::path& path) {
    return read_adapter(path, config, list.weights(), runner->backend());
  }

  std::unique_ptr<Runner> runner;
  Json config;
  WeightList list;
};

struct GgufAdapterGolden : testing::TestWithParam<Case> {};

TEST_P(GgufAdapterGolden, ComesBackWithTheSameLogits) {
  Base base(GetParam().path("model"));
  const auto adapter = base.read(GetParam().path("adapter"));
  ASSERT_TRUE(adapter) << adapter.error().debug();
  const char* keep = std::getenv("QW_KEEP_ADAPTERS");
  const fs::path file =
      (keep != nullptr ? fs::path(keep) : fs::temp_directory_path()) /
      fmt::format("{}.{}gguf", GetParam().name, keep != nullptr ? "" : std::to_string(::getpid()) + ".");
  const Status written = write_gguf_adapter(file, *adapter, base.config, base.runner->backend());
  if (GetParam().name == "qwen2_head") {  // the embedding is the head
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code(), "gguf.cannot_hold");
    return;
  }
  ASSERT_TRUE(written) << written.error().debug();
  const auto back = base.read(file);
  ASSERT_TRUE(back) << back.error().debug();
  Expected expected(GetParam().path("adapter") / "expected.safetensors");
  EXPECT_TRUE(compare("logits", base.logits(expected.ids("input_ids"), *back), expected.f32("logits"), 5e-4));
  // The spec that was read makes the same scales again.
  for (const auto& [name, lora] : back->set->all()) {
    EXPECT_EQ(lora_rank(back->spec, lora_module(name)), lora.a.rows());
    EXPECT_DOUBLE_EQ(lora_scale(back->spec, lora_module(name)), lora.scale);
  }
  if (keep == nullptr) fs::remove(file);
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufAdapterGolden, testing::ValuesIn(cases("adapters")), param_name);

// The largest difference of two matrices, each times its scale, in parts of the largest number.
double apart(Backend& backend, const Weight& a, double scale_a, const Weight& b, double scale_b) {
  EXPECT_EQ(a.shape.str(), b.shape.str());
  const Host<float> x = download(backend, a.data), y = download(backend, b.data);
  double largest = 0, most = 0;
  for (size_t i = 0; i < x.values.size(); ++i) {
    const double v = static_cast<double>(x.values[i]) * scale_a;
    largest = std::max(largest, std::abs(v));
    most = std::max(most, std::abs(v - static_cast<double>(y.values[i]) * scale_b));
  }
  return largest == 0 ? most : most / largest;
}

TEST(GgufAdapter, ComesBackFromSmallerFormats) {
  Base llama(data_folder() / "models" / "llama");
  Backend& backend = llama.runner->backend();
  const auto adapter = llama.read(data_folder() / "adapters" / "llama_patterns");
  ASSERT_TRUE(adapter) << adapter.error().debug();
  const fs::path file = fs::temp_directory_path() / fmt::format("qw_small_adapter_{}.gguf", ::getpid());
  for (const QuantFormat format : {QuantFormat::f16, QuantFormat::q8_0}) {
    ASSERT_TRUE(write_gguf_adapter(file, *adapter, llama.config, backend, format));
    const auto stored = GgufFile::open(file);
    ASSERT_TRUE(stored) << stored.error().debug();
    int n = 0;
    for (const auto& [name, tensor] : (*stored)->tensors()) {
      const bool whole = tensor.shape.back() % traits(format).block == 0;
      EXPECT_EQ(tensor.type->format, whole ? format : QuantFormat::f16) << name;
      n += whole ? 1 : 0;
    }
    EXPECT_GT(n, 0);
    const auto back = llama.read(file);
    ASSERT_TRUE(back) << back.error().debug();
    ASSERT_EQ(back->set->all().size(), adapter->set->all().size());
    constexpr double kF16 = 1.0 / 2000, kQ8 = 1.0 / 200;  // half of a step: 2^-11; 1/254 and the scale's f16
    for (const auto& [name, lora] : adapter->set->all()) {
      const Lora& got = back->set->all().at(name);
      EXPECT_LT(apart(backend, lora.a, 1, got.a, 1), format == QuantFormat::f16 ? kF16 : kQ8) << name;
      EXPECT_LT(apart(backend, lora.b, lora.scale, got.b, got.scale),
                format == QuantFormat::f16 || lora.b.cols() % 32 != 0 ? kF16 : kQ8)
          << name;
    }
  }
  fs::remove(file);
}

TEST(GgufAdapter, RefusesWhatIsNotForTheModel) {
  Base llama(data_folder() / "models" / "llama");
  const fs::path file = fs::temp_directory_path() / fmt::format("qw_adapter_{}.gguf", ::getpid());
  const auto code = [&](const std::string& type, const std::string& kind, const std::string& arch,
                        const std::vector<GgufTensorPlan>& plans, bool alpha = true) {
    GgufMetadata m;
    m.text("general.type", type);
    m.text("adapter.type", kind);
    m.text("general.architecture", arch);
    if (alpha) m.f32("adapter.lora.alpha", 2);
    auto writer = GgufWriter::create(file, m, plans).value();
    for (size_t i = 0; i < plans.size(); ++i) {
      const std::vector<std::byte> zeros(static_cast<size_t>(gguf_tensor_bytes(plans[i])));
      EXPECT_TRUE(writer.write(i, 0, zeros));
    }
    EXPECT_TRUE(writer.finish());
    const auto r = llama.read(file);
    return r ? std::string() : r.error().code();
  };
  const auto plans = [](const std::string& name, int64_t n, int64_t k, int64_t rank_b = 2) {
    return std::vector<GgufTensorPlan>{{name + ".lora_a", QuantFormat::f32, {2, k}},
                                       {name + ".lora_b", QuantFormat::f16, {n, rank_b}}};
  };
  const auto good = plans("blk.0.attn_q.weight", 32, 32);
  EXPECT_EQ(code("adapter", "lora", "llama", good), "");
  EXPECT_EQ(code("model", "lora", "llama", good), "gguf.key_value");
  EXPECT_EQ(code("adapter", "vector", "llama", good), "gguf.key_value");
  EXPECT_EQ(code("adapter", "lora", "qwen3", good), "gguf.key_value");
  EXPECT_EQ(code("adapter", "lora", "llama", good, false), "gguf.key_missing");
  EXPECT_EQ(code("adapter", "lora", "llama", {}), "peft.empty");
  EXPECT_EQ(code("adapter", "lora", "llama", {good[0]}), "weights.missing");
  EXPECT_EQ(code("adapter", "lora", "llama", {good[1]}), "weights.missing");
  EXPECT_EQ(code("adapter", "lora", "llama", plans("blk.0.attn_q.weight", 32, 30)), "weights.shape");
  EXPECT_EQ(code("adapter", "lora", "llama", plans("blk.0.attn_q.weight", 32, 32, 3)), "weights.shape");
  EXPECT_EQ(code("adapter", "lora", "llama", plans("blk.9.attn_q.weight", 32, 32)), "peft.tensor");
  EXPECT_EQ(code("adapter", "lora", "llama", plans("token_embd.weight", 320, 32)), "peft.tensor");
  EXPECT_EQ(code("adapter", "lora", "llama", {{"blk.0.attn_q.weight", QuantFormat::f32, {32, 32}}}),
            "peft.tensor");
  fs::remove(file);
}

}  // namespace
}  // namespace qw::golden
