#include "io/hf/affine_packer.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace qw {

QuantFormat affine_format(const AffineShape& s) {
  if (s.bits == 8 || !s.exact_scales)
    return s.group % 128 == 0 ? QuantFormat::int8_128 : QuantFormat::int8_32;
  if (s.group % 128 == 0) return QuantFormat::int4_128;
  return s.group % 64 == 0 ? QuantFormat::int4_64 : QuantFormat::int4_32;
}

AffinePacker::AffinePacker(AffineShape shape, std::unique_ptr<const AffineCodes> codes)
    : RowPacker(affine_format(shape), shape.rows, shape.cols),
      shape_(std::move(shape)),
      codes_(std::move(codes)) {
  QW_CHECK(shape_.group % 32 == 0 && shape_.cols % shape_.group == 0, "groups of {} in {} columns",
           shape_.group, shape_.cols);
}

void AffinePacker::pack_row(int64_t row, const uint8_t* codes, uint8_t* out) const {
  const int64_t block = traits(format()).block;
  const bool nibbles = traits(format()).block_bytes == 4 + block / 2;
  for (int64_t k = 0; k < shape_.cols; k += block) {
    const float d = codes_->scale(row, k / shape_.group);
    const int zero = codes_->zero(row, k / shape_.group);
    if (nibbles) {
      const uint32_t head = (std::bit_cast<uint32_t>(d) & ~0xFFU) | static_cast<uint32_t>(zero);
      std::memcpy(out, &head, 4);
      out += 4;
      for (int64_t g = k; g < k + block; g += 32, out += 16)
        for (int64_t i = 0; i < 16; ++i) out[i] = static_cast<uint8_t>(codes[g + i] | codes[g + 16 + i] << 4);
      continue;
    }
    const auto z = static_cast<float>(zero);
    std::memcpy(out, &d, 4);
    std::memcpy(out + 4, &z, 4);
    std::memcpy(out + 8, codes + k, static_cast<size_t>(block));
    out += 8 + block;
  }
}

bool AffinePacker::pack(int64_t begin, int64_t end, std::byte* out) const {
  const int64_t cols = shape_.cols;
  std::vector<uint8_t> tile(static_cast<size_t>(AffineCodes::kTileRows * cols));
  std::vector<uint8_t> ordered(shape_.order.empty() ? 0 : static_cast<size_t>(cols));
  for (int64_t row = begin; row < end; row += AffineCodes::kTileRows) {
    const int64_t n = std::min(AffineCodes::kTileRows, end - row);
    codes_->codes(row, n, tile.data());
    for (int64_t i = 0; i < n; ++i) {
      const uint8_t* codes = tile.data() + i * cols;
      if (!shape_.order.empty()) {
        for (size_t j = 0; j < ordered.size(); ++j) ordered[j] = codes[shape_.order[j]];
        codes = ordered.data();
      }
      pack_row(row + i, codes, reinterpret_cast<uint8_t*>(out) + (row - begin + i) * row_size());
    }
  }
  return true;
}

}  // namespace qw
