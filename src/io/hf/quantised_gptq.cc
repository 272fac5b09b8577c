// GPTQ: qweight i32 [K · bits / 32, N] (packed down the columns), qzeros [G, N · bits / 32], scales [G, N],
// g_idx i32 [K]. AWQ ("gemm"): qweight [K, N / 8], qzeros [G, N / 8], scales [G, N]; the eight nibbles of a
// word are columns 0 2 4 6 1 3 5 7. Spec: gptqmodel nn_modules/qlinear, autoawq awq/utils/packing_utils.py.
#include <fmt/format.h>

#include <numeric>

#include "io/hf/affine_packer.h"
#include "io/hf/quantised_schemes.h"

namespace qw {
namespace {

// The parts both have, with N as the first dimension of the weight.
struct Grouped {
  Part weight, zeros, scales;
  int64_t rows = 0, cols = 0, groups = 0;
  int bits = 4;
  bool zero_less_one = false;

  int per_word() const { return 32 / bits; }
  uint32_t mask() const { return (1U << bits) - 1; }
};

class GptqCodes final : public AffineCodes {
 public:
  explicit GptqCodes(Grouped g) : g_(std::move(g)) {}

  void codes(int64_t begin, int64_t n, uint8_t* out) const override {
    const int per = g_.per_word();
    for (int64_t word = 0; word < g_.cols / per; ++word)
      for (int64_t i = 0; i < n; ++i) {
        auto w = g_.weight.load<uint32_t>(word * g_.rows + begin + i);
        uint8_t* to = out + i * g_.cols + word * per;
        for (int j = 0; j < per; ++j, w >>= g_.bits) to[j] = static_cast<uint8_t>(w & g_.mask());
      }
  }
  float scale(int64_t row, int64_t group) const override { return g_.scales.number(group * g_.rows + row); }
  int zero(int64_t row, int64_t group) const override {
    const int per = g_.per_word();
    const auto word = g_.zeros.load<uint32_t>(group * (g_.rows / per) + row / per);
    const uint32_t stored = word >> (row % per * g_.bits) & g_.mask();
    return static_cast<int>(g_.zero_less_one ? (stored + 1) & g_.mask() : stored);
  }

 private:
  Grouped g_;
};

class AwqCodes final : public AffineCodes {
 public:
  explicit AwqCodes(Grouped g) : g_(std::move(g)) {}

  void codes(int64_t begin, int64_t n, uint8_t* out) const override {
    for (int64_t k = 0; k < g_.cols; ++k)
      for (int64_t i = 0; i < n;) {
        const int64_t row = begin + i;
        const auto word = g_.weight.load<uint32_t>(k * (g_.rows / 8) + row / 8);
        for (int64_t place = row % 8; place < 8 && i < n; ++place, ++i)
          out[i * g_.cols + k] = static_cast<uint8_t>(word >> kShift[place] & 15);
      }
  }
  float scale(int64_t row, int64_t group) const override { return g_.scales.number(group * g_.rows + row); }
  int zero(int64_t row, int64_t group) const override {
    return static_cast<int>(g_.zeros.load<uint32_t>(group * (g_.rows / 8) + row / 8) >> kShift[row % 8] & 15);
  }

 private:
  static constexpr int kShift[8] = {0, 16, 4, 20, 8, 24, 12, 28};  // of column c of the eight of a word

  Grouped g_;
};

// Fills rows and groups from scales [G, N], and cols, which the groups must divide into multiples of 32.
Status read_shape(Grouped& g, const std::string& module, int64_t cols) {
  const std::string name = module + ".scales";
  if (g.scales.shape().size() != 2 || g.scales.shape()[0] < 1 || g.scales.shape()[1] < 1)
    return tl::unexpected(unexpected_tensor(g.scales, name, "F16 [G, N]"));
  g.groups = g.scales.shape()[0];
  g.rows = g.scales.shape()[1];
  g.cols = cols;
  QW_TRY(expect(g.scales, name, {"F16", "BF16", "F32"}, {g.groups, g.rows}));
  if (cols < 1 || cols % g.groups != 0 || cols / g.groups % 32 != 0)
    return fail(
        "hf.quant_columns",
        {{"file", g.weight.file()}, {"tensor", module + ".qweight"}, {"found", cols}, {"groups", g.groups}});
  return {};
}

Result<Grouped> parts_of(Parts& parts, const std::string& module) {
  Grouped g;
  const std::string main = module + ".qweight";
  QW_TRY(g.weight, parts.need(main, main));
  QW_TRY(g.zeros, parts.need(module + ".qzeros", main));
  QW_TRY(g.scales, parts.need(module + ".scales", main));
  if (g.weight.shape().size() != 2 || g.weight.dtype() != "I32")
    return tl::unexpected(unexpected_tensor(g.weight, main, "I32 [K, N]"));
  return g;
}

// What the config says of every module, unless `dynamic` lets some differ.
Status agrees(const HfQuantization& q, const Grouped& g, const std::string& module) {
  const int64_t group = q.group_size == -1 ? g.cols : q.group_size;
  if (q.dynamic || (g.bits == q.bits && g.cols == g.groups * group)) return {};
  return tl::unexpected(
      unexpected_tensor(g.scales, module + ".scales", fmt::format("F16 [{}, {}]", g.cols / group, g.rows)));
}

AffineShape shape_of(const Grouped& g) {
  return {.rows = g.rows,
          .cols = g.cols,
          .group = g.cols / g.groups,
          .bits = g.bits,
          .exact_scales = g.scales.dtype() != "F32"};
}

}  // namespace

Packer gptq_packer(const HfQuantization& q, Parts& parts, const std::string& module) {
  QW_TRY(Grouped g, parts_of(parts, module));
  g.zero_less_one = q.zero_less_one;
  const std::string main = module + ".qweight", zeros = module + ".qzeros";
  const int64_t rows = g.scales.shape().empty() ? 0 : g.scales.shape().back();
  // The words of a row of zero points tell the bits; the config must agree unless modules may differ.
  const int64_t words = g.zeros.shape().empty() ? 0 : g.zeros.shape().back();
  g.bits = rows > 0 && words == rows / 4 ? 8 : 4;
  QW_TRY(read_shape(g, module, g.weight.shape()[0] * g.per_word()));
  if (g.rows % g.per_word() != 0)
    return tl::unexpected(unexpected_tensor(g.weight, main, fmt::format("N % {} = 0", g.per_word())));
  QW_TRY(expect(g.weight, main, {"I32"}, {g.cols / g.per_word(), g.rows}));
  QW_TRY(expect(g.zeros, zeros, {"I32"}, {g.groups, g.rows / g.per_word()}));
  QW_TRY(agrees(q, g, module));
  AffineShape shape = shape_of(g);
  if (const Part order = parts.find(module + ".g_idx"); order) {
    QW_TRY(expect(order, module + ".g_idx", {"I32"}, {g.cols}));
    QW_TRY(shape.order, column_order(order, module + ".g_idx", shape.group));
  }
  return std::make_shared<AffinePacker>(std::move(shape), std::make_unique<GptqCodes>(std::move(g)));
}

Packer awq_packer(const HfQuantization& q, Parts& parts, const std::string& module) {
  QW_TRY(Grouped g, parts_of(parts, module));
  const std::string main = module + ".qweight";
  QW_TRY(read_shape(g, module, g.weight.shape()[0]));
  if (g.rows % 8 != 0) return tl::unexpected(unexpected_tensor(g.weight, main, "N % 8 = 0"));
  QW_TRY(expect(g.weight, main, {"I32"}, {g.cols, g.rows / 8}));
  QW_TRY(expect(g.zeros, module + ".qzeros", {"I32"}, {g.groups, g.rows / 8}));
  QW_TRY(agrees(q, g, module));
  AffineShape shape = shape_of(g);
  return std::make_shared<AffinePacker>(std::move(shape), std::make_unique<AwqCodes>(std::move(g)));
}

Result<std::vector<int32_t>> column_order(const Part& g_idx, const std::string& name, int64_t group) {
  const int64_t cols = g_idx.elements(), groups = cols / group;
  const auto bad = [&] {
    return fail("hf.quant_order",
                {{"file", g_idx.file()}, {"tensor", name}, {"groups", groups}, {"columns", group}});
  };
  std::vector<int64_t> filled(static_cast<size_t>(groups), 0);
  std::vector<int32_t> order(static_cast<size_t>(cols));
  bool same = true;
  for (int64_t k = 0; k < cols; ++k) {
    const auto g = g_idx.load<int32_t>(k);
    if (g < 0 || g >= groups) return bad();
    int64_t& n = filled[static_cast<size_t>(g)];
    if (n == group) return bad();
    const int64_t to = g * group + n++;
    order[static_cast<size_t>(to)] = static_cast<int32_t>(k);
    same = same && to == k;
  }
  if (same) order.clear();
  return order;
}

}  // namespace qw
