// GGUF files against the reference library: F32 conversions give the values of the folder they came from;
// quantised files those of their dequantised weights with f32 activations; version 2 and a file in parts the
// same; single blocks equal values.
#include <algorithm>
#include <array>
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

struct BlockType {
  const char* name;
  QuantFormat format;
};
constexpr std::array<BlockType, 5> kBlockTypes{{{"Q8_0", QuantFormat::q8_0},
                                                {"Q4_0", QuantFormat::q4_0},
                                                {"Q4_1", QuantFormat::q4_1},
                                                {"F16", QuantFormat::f16},
                                                {"BF16", QuantFormat::bf16}}};

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
    for (const BlockType& t : kBlockTypes) {
      SCOPED_TRACE(t.name);
      const Host<float> values = want.f32(std::string(t.name) + ".expected");
      const auto n = static_cast<int64_t>(values.values.size());
      const Host<float> got = dequantised(**backend, t.format, want.u8(std::string(t.name) + ".raw"), n);
      EXPECT_TRUE(compare(t.name, got, values, 0));
    }
    EXPECT_EQ(want.unread(), std::vector<std::string>{});
  }
}

}  // namespace
}  // namespace qw::golden
