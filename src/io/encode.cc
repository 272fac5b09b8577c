#include "io/encode.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"

namespace qw {
namespace {

constexpr uint32_t kSign = 0x80000000U;
constexpr uint32_t kInfinity = 0x7F800000U;

template <class T>
std::byte* grow(std::vector<std::byte>& out, size_t n) {
  const size_t at = out.size();
  out.resize(at + n * sizeof(T));
  return out.data() + at;
}

// 16-bit floats; false where a finite number became infinite.
template <class ToBits>
bool encode_16(std::span<const float> values, std::vector<std::byte>& out, uint16_t infinity,
               ToBits to_bits) {
  std::byte* to = grow<uint16_t>(out, values.size());
  bool fits = true;
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = to_bits(values[i]);
    if ((bits & 0x7FFF) == infinity) fits = fits && std::isinf(values[i]);
    std::memcpy(to + 2 * i, &bits, 2);
  }
  return fits;
}

bool encode_q8_0(std::span<const float> values, std::vector<std::byte>& out) {
  constexpr size_t kBlock = 32;
  QW_CHECK(values.size() % kBlock == 0, "{} numbers in blocks of {}", values.size(), kBlock);
  std::byte* to = grow<std::byte>(out, values.size() / kBlock * 34);
  bool fits = true;
  for (size_t b = 0; b < values.size(); b += kBlock, to += 34) {
    const std::span<const float> x = values.subspan(b, kBlock);
    float largest = 0.0F;
    for (const float v : x) largest = std::max(largest, std::abs(v));
    const float d = largest / 127.0F;
    const float inverse = d != 0.0F ? 1.0F / d : 0.0F;
    const uint16_t scale = f16_bits(d);
    fits = fits && (scale & 0x7C00) != 0x7C00;
    std::memcpy(to, &scale, 2);
    for (size_t i = 0; i < kBlock; ++i)
      to[2 + i] = static_cast<std::byte>(static_cast<int8_t>(std::lround(x[i] * inverse)));
  }
  return fits;
}

}  // namespace

uint16_t bf16_bits(float v) {
  const auto bits = std::bit_cast<uint32_t>(v);
  if ((bits & ~kSign) > kInfinity) return static_cast<uint16_t>(bits >> 16 | 0x40);  // a quiet NaN
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

uint16_t f16_bits(float v) {
  const auto bits = std::bit_cast<uint32_t>(v);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t a = bits & ~kSign;
  if (a > kInfinity) return static_cast<uint16_t>(sign | 0x7E00);
  if (a >= 0x47800000U) return static_cast<uint16_t>(sign | 0x7C00);  // 65536 and more
  // Below 2⁻¹⁴: adding 0.5 puts the rounding of f32 at the last bit of a subnormal f16.
  if (a < 0x38800000U) {
    const float shifted = std::bit_cast<float>(a) + 0.5F;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000U));
  }
  const uint32_t rounded = a + 0x0FFF + (a >> 13 & 1) - 0x38000000U;  // exponent bias 127 → 15
  return static_cast<uint16_t>(sign | rounded >> 13);
}

bool encode(QuantFormat format, std::span<const float> values, std::vector<std::byte>& out) {
  switch (format) {
    case QuantFormat::f32:
      std::memcpy(grow<float>(out, values.size()), values.data(), values.size_bytes());
      return true;
    case QuantFormat::f16:
      return encode_16(values, out, 0x7C00, f16_bits);
    case QuantFormat::bf16:
      return encode_16(values, out, 0x7F80, bf16_bits);
    case QuantFormat::q8_0:
      return encode_q8_0(values, out);
    default:
      QW_CHECK(false, "encode to {}", traits(format).name);
  }
  return false;
}

}  // namespace qw
