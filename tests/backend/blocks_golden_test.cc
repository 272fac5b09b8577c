// Real GGUF blocks of every format decode to exactly what the reference decoder gives (a zero may
// differ in sign: d · 0 there, d q − 8 d here).
#include <cctype>

#include "golden/golden.h"
#include "tests/backend/support.h"

namespace qw::test {
namespace {

class PerIsaBlocks : public testing::TestWithParam<std::string> {};

TEST_P(PerIsaBlocks, DecodeExactlyAsTheReference) {
  Bench b(GetParam());
  golden::Expected file(golden::data_folder() / "gguf/blocks.safetensors");
  for (auto f = static_cast<size_t>(QuantFormat::f16); f <= static_cast<size_t>(QuantFormat::q2_0); ++f) {
    const auto format = static_cast<QuantFormat>(f);
    std::string name(traits(format).name);  // ggml writes them large
    for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    const auto raw = file.u8(fmt::format("{}.raw", name));
    const auto want = file.f32(fmt::format("{}.expected", name));
    const auto holder = std::make_shared<std::vector<uint8_t>>(raw.values);
    const auto n = static_cast<int64_t>(want.values.size());
    ASSERT_EQ(static_cast<int64_t>(raw.values.size()), row_bytes(format, n)) << name;
    Weight w;
    w.shape = Shape{1, n};
    w.format = format;
    const int64_t stored = traits(format).is_float ? n : row_bytes(format, n);
    w.data = Tensor(*b->import_host(std::as_bytes(std::span(*holder)), holder), 0, Shape{1, stored},
                    storage_dtype(format));
    const Tensor out = b.empty({1, n});
    b->embedding(out, b.ints({0}), w);
    std::vector<float> got(want.values.size());
    b->download(got.data(), out);
    for (size_t i = 0; i < got.size(); ++i) {
      if (std::isnan(want.values[i]))
        ASSERT_TRUE(std::isnan(got[i])) << name << " " << i;
      else
        ASSERT_EQ(got[i], want.values[i]) << name << " " << i;
    }
  }
  EXPECT_EQ(file.unread(), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(per_isa, PerIsaBlocks, testing::ValuesIn(tables()),
                         [](const auto& p) { return p.param; });

}  // namespace
}  // namespace qw::test
