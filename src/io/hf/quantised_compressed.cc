// compressed-tensors (llm-compressor). Packed: weight_packed i32 [N, K · bits / 32], low bits first, codes
// plus 2^(bits−1); weight_scale [N, G]; weight_zero_point packed alike down the rows, [N · bits / 32, G] (i8
// [N, G] in old files); weight_shape. Not packed: weight i8 or e4m3 [N, K], weight_scale [N, 1], [1], [N, G]
// or of blocks. Spec: compressed_tensors 0.20, compressors/pack_quantized and naive_quantized.
#include <fmt/format.h>

#include <algorithm>

#include "io/hf/affine_packer.h"
#include "io/hf/quantised_schemes.h"

namespace qw {
namespace {

using Strategy = CompressedGroup::Strategy;

struct Coded {
  Part weight, zeros;  // no zero points: symmetric
  ScaleGrid scales;
  int64_t rows = 0, cols = 0;
  int64_t group = 0;  // columns
  int bits = 8;
  bool packed = false, packed_zeros = false;

  int per_word() const { return 32 / bits; }
  uint32_t mask() const { return (1U << bits) - 1; }
  int middle() const { return 1 << (bits - 1); }
};

class CompressedCodes final : public AffineCodes {
 public:
  explicit CompressedCodes(Coded c) : c_(std::move(c)) {}

  void codes(int64_t begin, int64_t n, uint8_t* out) const override {
    for (int64_t row = begin; row < begin + n; ++row, out += c_.cols) {
      const uint8_t* bytes = c_.weight.bytes() + row * (c_.packed ? c_.cols * c_.bits / 8 : c_.cols);
      if (c_.packed && c_.bits == 4)
        for (int64_t k = 0; k < c_.cols; ++k) out[k] = static_cast<uint8_t>(bytes[k / 2] >> (k % 2 * 4) & 15);
      else  // packed bytes are offset already
        for (int64_t k = 0; k < c_.cols; ++k)
          out[k] = static_cast<uint8_t>(bytes[k] ^ (c_.packed ? 0 : 0x80));
    }
  }
  float scale(int64_t row, int64_t group) const override { return c_.scales.at(row, group * c_.group); }
  int zero(int64_t row, int64_t group) const override {
    if (!c_.zeros) return c_.middle();
    const int64_t n_groups = c_.scales.cols;
    const int64_t g = group * c_.group / c_.scales.cols_per;
    if (c_.packed_zeros) {
      const auto word = c_.zeros.load<uint32_t>(row / c_.per_word() * n_groups + g);
      return static_cast<int>(word >> (row % c_.per_word() * c_.bits) & c_.mask());
    }
    return c_.zeros.load<int8_t>(row / c_.scales.rows_per * n_groups + g) + c_.middle();
  }

 private:
  Coded c_;
};

// The scales, by the strategy of the group; rows, cols known.
Status read_scales(const CompressedGroup& group, Parts& parts, const std::string& module, const Part& weight,
                   Coded& c) {
  const std::string name = module + ".weight_scale";
  QW_TRY(c.scales.values, parts.need(name, module + (group.packed ? ".weight_packed" : ".weight")));
  ScaleGrid& s = c.scales;
  const auto up = [](int64_t n, int64_t by) { return (n + by - 1) / by; };
  s.rows_per = group.strategy == Strategy::block    ? group.block_rows
               : group.strategy == Strategy::tensor ? std::max<int64_t>(c.rows, 1)
                                                    : 1;
  s.cols_per = group.strategy == Strategy::block   ? group.block_cols
               : group.strategy == Strategy::group ? group.group_size
                                                   : std::max<int64_t>(c.cols, 1);
  s.cols = std::max<int64_t>(up(c.cols, s.cols_per), 1);
  if (group.strategy == Strategy::group && c.cols % group.group_size != 0)
    return fail(
        "hf.quant_columns",
        {{"file", weight.file()}, {"tensor", module + ".weight"}, {"found", c.cols}, {"groups", s.cols}});
  if (group.strategy != Strategy::tensor)
    return expect_floats(s.values, name, {up(c.rows, s.rows_per), s.cols});
  if (expect_floats(s.values, name, {})) return {};
  if (expect_floats(s.values, name, {1, 1})) return {};
  return expect_floats(s.values, name, {1});
}

Status read_zeros(const CompressedGroup& group, Parts& parts, const std::string& module, Coded& c) {
  const std::string name = module + ".weight_zero_point";
  if (group.symmetric) {
    parts.find(name);  // zeros, where an old file has them
    return {};
  }
  QW_TRY(c.zeros, parts.need(name, module + (group.packed ? ".weight_packed" : ".weight")));
  c.packed_zeros = c.zeros.dtype() == "I32";
  const int64_t n = (c.rows + c.scales.rows_per - 1) / c.scales.rows_per;
  if (c.packed_zeros && c.packed && group.strategy != Strategy::tensor)
    return expect(c.zeros, name, {"I32"}, {(n + c.per_word() - 1) / c.per_word(), c.scales.cols});
  if (group.strategy == Strategy::tensor) return expect(c.zeros, name, {"I8"}, {1});
  return expect(c.zeros, name, {"I8"}, {n, c.scales.cols});
}

// Rows and columns of a packed weight, by weight_shape.
Status read_packed_shape(Parts& parts, const std::string& module, Coded& c) {
  const std::string main = module + ".weight_packed", name = module + ".weight_shape";
  QW_TRY(const Part shape, parts.need(name, main));
  if (shape.elements() != 2 || (shape.dtype() != "I64" && shape.dtype() != "I32"))
    return tl::unexpected(unexpected_tensor(shape, name, "I64 [2]"));
  c.rows = shape.dtype() == "I64" ? shape.load<int64_t>(0) : shape.load<int32_t>(0);
  c.cols = shape.dtype() == "I64" ? shape.load<int64_t>(1) : shape.load<int32_t>(1);
  if (c.cols < 1 || c.cols > (int64_t{1} << 31) || c.cols % 32 != 0)
    return fail("hf.quant_columns",
                {{"file", c.weight.file()}, {"tensor", main}, {"found", c.cols}, {"groups", 1}});
  return expect(c.weight, main, {"I32"}, {c.rows, c.cols / c.per_word()});
}

}  // namespace

Packer compressed_packer(const HfQuantization& q, Parts& parts, const std::string& module) {
  const bool packed = parts.has(module + ".weight_packed");
  const std::string main = module + (packed ? ".weight_packed" : ".weight");
  Coded c;
  QW_TRY(c.weight, parts.need(main, main));
  const CompressedGroup* group = q.group_of(module);
  if (group == nullptr || group->packed != packed)
    return fail("hf.quant_no_group", {{"file", c.weight.file()}, {"tensor", main}});
  c.bits = group->bits;
  c.packed = packed;
  if (packed) {
    QW_TRY(read_packed_shape(parts, module, c));
  } else {
    if (c.weight.shape().size() != 2 || c.weight.dtype() != (group->is_float ? "F8_E4M3" : "I8"))
      return tl::unexpected(
          unexpected_tensor(c.weight, main, group->is_float ? "F8_E4M3 [N, K]" : "I8 [N, K]"));
    c.rows = c.weight.shape()[0];
    c.cols = c.weight.shape()[1];
  }
  QW_TRY(read_scales(*group, parts, module, c.weight, c));
  parts.find(module + ".input_scale");  // of activations, which stay as they are
  parts.find(module + ".input_zero_point");
  if (group->is_float) {
    parts.find(module + ".weight_zero_point");
    return e4m3_packer(c.weight, main, c.scales);
  }
  QW_TRY(read_zeros(*group, parts, module, c));
  c.group = std::min(c.scales.cols_per, std::max<int64_t>(c.cols, 1));
  if (c.cols % c.group != 0) c.group = 32;  // the last block of a row is cut off
  if (c.cols < 1 || c.cols % 32 != 0)
    return fail("hf.quant_columns",
                {{"file", c.weight.file()}, {"tensor", main}, {"found", c.cols}, {"groups", c.scales.cols}});
  AffineShape shape{.rows = c.rows,
                    .cols = c.cols,
                    .group = c.group,
                    .bits = c.bits,
                    .exact_scales = c.scales.values.dtype() != "F32"};
  if (const Part order = parts.find(module + ".weight_g_idx"); order) {
    QW_TRY(expect(order, module + ".weight_g_idx", {"I32"}, {c.cols}));
    QW_TRY(shape.order, column_order(order, module + ".weight_g_idx", c.group));
  }
  return std::make_shared<AffinePacker>(std::move(shape), std::make_unique<CompressedCodes>(std::move(c)));
}

}  // namespace qw
