// GGUF files against the reference library: F32 conversions give the values of the folder they came from;
// quantised files those of their dequantised weights with f32 activations; version 2 and a file in parts the
// same; single blocks equal values.
#include <algorithm>
#include <cctype>

#include "backend/cpu/cpu_backend.h"
#include "golden/model_runner.h"
#include "io/checkpoint.h"

namespace qw::golden {
namespace {

constexpr double kLogits = 5e-4;

class GgufGolden : public testing::TestWithParam<Case> {};

TEST_P(GgufGolden, LogitsAndGreedyTokensAgree) {
  const Json& facts = GetParam().facts;
  const std::filesystem::path file = data_folder() / facts["files"][0].get<std::string>();
  for (const std::string_view isa : supported_isas()) {
    SCOPED_TRACE(isa);
    const auto runner = Runner::open(file, isa);
    ASSERT_TRUE(runner);
    Expected want(GetParam().path("expected"));
    expect_prompts(*runner, want, kLogits);
    EXPECT_EQ(want.unread({"case1.taps."}), std::vector<std::string>{});
  }
}

// What the file is said to hold is what was read.
TEST_P(GgufGolden, VersionPartsAndTypesAreThoseOfTheManifest) {
  const Json& facts = GetParam().facts;
  const auto checkpoint = open_checkpoint(data_folder() / facts["files"].back().get<std::string>());
  ASSERT_TRUE(checkpoint) << checkpoint.error().debug();
  EXPECT_EQ(checkpoint->gguf_version, facts["version"].get<int>());
  EXPECT_EQ(checkpoint->n_files, static_cast<int>(facts["files"].size()));
  if (!facts.contains("types")) return;
  std::vector<std::string> types, want;
  for (const auto& [name, count] : checkpoint->formats) types.push_back(name);
  for (const Json& t : facts["types"]) {
    std::string name = t.get<std::string>();
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char ch) { return static_cast<char>(std::tolower(ch)); });
    want.push_back(name);
  }
  std::sort(want.begin(), want.end());
  EXPECT_EQ(types, want);
}

INSTANTIATE_TEST_SUITE_P(Cases, GgufGolden, testing::ValuesIn(cases("gguf")), param_name);

// One row that holds all the blocks, dequantised by looking it up in an embedding.
Host<float> dequantised(Backend& backend, QuantFormat format, const Host<uint8_t>& raw, int64_t columns) {
  Weight w;
  w.name = "blocks";
  w.shape = {1, columns};
  w.format = format;
  const DType dtype = storage_dtype(format);
  auto storage = backend.alloc(raw.values.size());
  EXPECT_TRUE(storage);
  w.data = Tensor(*std::move(storage), 0, dtype == DType::u8 ? Shape{1, row_bytes(format, columns)} : w.shape,
                  dtype);
  backend.upload(w.data, raw.values.data());
  Arena arena(backend);
  const Tensor out = arena.alloc({1, columns}, backend.real());
  backend.embedding(out, arena.upload(std::vector<int32_t>{0}), w);
  return download(backend, out);
}

TEST(GgufBlocks, DequantiseToTheReferencesValues) {
  for (const std::string_view isa : supported_isas()) {
    SCOPED_TRACE(isa);
    const auto backend = make_cpu_backend({.threads = 1, .isa = std::string(isa)});
    ASSERT_TRUE(backend);
    Expected want(data_folder() / "gguf" / "blocks.safetensors");
    for (uint32_t id = 1; id < 64; ++id) {  // 0: F32
      const GgmlType* type = find_ggml_type(id);
      if (type == nullptr || !type->format) continue;
      SCOPED_TRACE(type->name);
      EXPECT_EQ(type->block, traits(*type->format).block);
      EXPECT_EQ(type->block_bytes, traits(*type->format).block_bytes);
      const std::string name(type->name);
      const Host<float> values = want.f32(name + ".expected");
      const auto n = static_cast<int64_t>(values.values.size());
      const Host<float> got = dequantised(**backend, *type->format, want.u8(name + ".raw"), n);
      EXPECT_TRUE(compare(name, got, values, 0));
    }
    EXPECT_EQ(want.unread(), std::vector<std::string>{});
  }
}

}  // namespace
}  // namespace qw::golden
