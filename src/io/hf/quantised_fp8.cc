// FP8: weight e4m3 [N, K] with weight_scale_inv, one scale for each block of the config's weight_block_size,
// the last block of a row or column cut off; without a block size one scale a tensor. Activations stay as
// they are. Spec: transformers integrations/finegrained_fp8.py (Fp8Dequantize), the published Qwen3-*-FP8
// configs.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "io/hf/quantised_schemes.h"

namespace qw {
namespace {

class E4m3Packer final : public RowPacker {
 public:
  E4m3Packer(QuantFormat format, Part codes, ScaleGrid scales)
      : RowPacker(format, codes.shape()[0], codes.shape()[1]),
        codes_(std::move(codes)),
        scales_(std::move(scales)) {}

  bool pack(int64_t begin, int64_t end, std::byte* out) const override {
    const int64_t block = traits(format()).block;
    const uint8_t* codes = codes_.bytes() + begin * cols();
    for (int64_t i = 0; i < (end - begin) * cols(); ++i)
      if ((codes[i] & 0x7F) == 0x7F) return false;  // NaN
    for (int64_t row = begin; row < end; ++row)
      for (int64_t k = 0; k < cols(); k += block, out += 4 + block) {
        const float d = scales_.at(row, k);
        std::memcpy(out, &d, 4);
        std::memcpy(out + 4, codes_.bytes() + row * cols() + k, static_cast<size_t>(block));
      }
    return true;
  }

 private:
  Part codes_;
  ScaleGrid scales_;
};

}  // namespace

Packer e4m3_packer(const Part& codes, const std::string& name, const ScaleGrid& scales) {
  const int64_t cols = codes.shape()[1];
  if (cols < 1 || cols % 32 != 0)
    return fail("hf.quant_columns", {{"file", codes.file()},
                                     {"tensor", name},
                                     {"found", cols},
                                     {"groups", (cols + scales.cols_per - 1) / scales.cols_per}});
  const bool one = scales.cols_per >= cols;
  QW_CHECK(one || scales.cols_per % 32 == 0, "scales of {} columns", scales.cols_per);
  const bool wide = cols % 128 == 0 && (one || scales.cols_per % 128 == 0);
  return std::make_shared<E4m3Packer>(wide ? QuantFormat::e4m3_128 : QuantFormat::e4m3_32, codes, scales);
}

Packer fp8_packer(const HfQuantization& q, Parts& parts, const std::string& module) {
  const std::string main = module + ".weight";
  QW_TRY(const Part codes, parts.need(main, main));
  if (codes.shape().size() != 2) return tl::unexpected(unexpected_tensor(codes, main, "F8_E4M3 [N, K]"));
  const int64_t n = codes.shape()[0], k = codes.shape()[1];
  ScaleGrid scales{.rows_per = std::max<int64_t>(n, 1), .cols_per = std::max<int64_t>(k, 1)};
  const bool inverse = q.block_rows > 0 || parts.has(main + "_scale_inv");
  const std::string name = main + (inverse ? "_scale_inv" : "_scale");
  QW_TRY(scales.values, parts.need(name, main));
  parts.find(module + ".input_scale");  // of activations, which stay as they are
  if (q.block_rows > 0) {
    scales.rows_per = q.block_rows;
    scales.cols_per = q.block_cols;
    scales.cols = (k + q.block_cols - 1) / q.block_cols;
    QW_TRY(expect_floats(scales.values, name, {(n + q.block_rows - 1) / q.block_rows, scales.cols}));
  } else if (!expect_floats(scales.values, name, {})) {
    QW_TRY(expect_floats(scales.values, name, {1}));
  }
  return e4m3_packer(codes, main, scales);
}

}  // namespace qw
