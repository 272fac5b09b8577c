// The IQ1, IQ2 and IQ3 formats: super-blocks of 256 whose elements are points of a lattice (iq_grids.h),
// eight or four at a time, with signs and scales apart. group(out, block, g) decodes elements [32 g, 32 g +
// 32). All values are exact in f32. Spec: ggml-common.h of ggml-org (block_iq1_s …). `h` below: f16.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "backend/cpu/blocks/iq_grids.h"
#include "backend/cpu/blocks/plain.h"

namespace qw::cpu {

// Four values from the four pairs of bits of a byte, as bytes.
constexpr std::array<uint32_t, 256> pair_table(std::array<int, 4> values) {
  std::array<uint32_t, 256> out{};
  for (uint32_t b = 0; b < 256; ++b)
    for (uint32_t i = 0; i < 4; ++i)
      out[b] |= static_cast<uint32_t>(static_cast<uint8_t>(values[b >> (2 * i) & 3])) << (8 * i);
  return out;
}
inline constexpr std::array<uint32_t, 256> kIq2Values = pair_table({8, 25, 43, 0});
inline constexpr std::array<uint32_t, 256> kIq1Values = pair_table({-8, 0, 8, 0});  // eighths
inline constexpr std::array<uint8_t, 8> kIq3XxsValues{4, 12, 20, 28, 36, 44, 52, 62};

// A byte of ones for every bit that is set; and the same of seven bits and their parity, which make the
// number of signs even.
inline constexpr std::array<uint64_t, 256> kSigns = [] {
  std::array<uint64_t, 256> out{};
  for (uint64_t b = 0; b < 256; ++b)
    for (uint64_t i = 0; i < 8; ++i) out[b] |= (b >> i & 1) * (uint64_t{0xff} << (8 * i));
  return out;
}();
inline constexpr std::array<uint64_t, 128> kEvenSigns = [] {
  std::array<uint64_t, 128> out{};
  for (uint32_t b = 0; b < 128; ++b) out[b] = kSigns[b | static_cast<uint32_t>(std::popcount(b) & 1) << 7];
  return out;
}();
inline uint64_t even_signs(uint32_t bits) {
  return kEvenSigns[bits & 127];
}

inline uint64_t eight(const std::array<uint32_t, 256>& table, uint16_t point) {
  return table[point & 255] | static_cast<uint64_t>(table[point >> 8]) << 32;
}
// Negates the bytes (none of them 0) where `signs` has ones.
inline uint64_t with_signs(uint64_t values, uint64_t signs) {
  return (values ^ signs) + (signs & 0x0101010101010101u);
}
inline void put_eight(float* out, uint64_t values, float scale) {
  int8_t v[8];
  std::memcpy(v, &values, 8);
  for (int i = 0; i < 8; ++i) out[i] = scale * static_cast<float>(v[i]);
}
inline void iq2_point(float* out, uint16_t point, float scale, uint64_t signs) {
  put_eight(out, with_signs(eight(kIq2Values, point), signs), scale);
}

// h d; of each 32 elements four bytes of points and 32 bits: four times 7 of signs, 4 of scale
struct Iq2Xxs {
  static constexpr int kElements = 256, kBytes = 66;
  static void group(float* out, const uint8_t* b, int g) {
    const uint8_t* q = b + 2 + 8 * g;
    const auto bits = block_load<uint32_t>(q + 4);
    const float scale = block_f16(b) * (0.5F + static_cast<float>(bits >> 28)) * 0.25F;
    for (int l = 0; l < 4; ++l) iq2_point(out + 8 * l, kGridIq2Xxs[q[l]], scale, even_signs(bits >> (7 * l)));
  }
};

// h d, 16 bits of each 8 elements (9 of point, 7 of signs), 4-bit scales of 16
struct Iq2Xs {
  static constexpr int kElements = 256, kBytes = 74;
  static void group(float* out, const uint8_t* b, int g) {
    const float d = block_f16(b);
    for (int l = 0; l < 4; ++l) {
      const auto q = block_load<uint16_t>(b + 2 + 8 * g + 2 * l);
      const float scale = d * (0.5F + static_cast<float>(b[66 + g] >> (l / 2 * 4) & 15)) * 0.25F;
      iq2_point(out + 8 * l, kGridIq2Xs[q & 511], scale, even_signs(q >> 9));
    }
  }
};

// h d, lower bytes of the points, bytes of signs, upper pairs of bits of the points, 4-bit scales of 16
struct Iq2S {
  static constexpr int kElements = 256, kBytes = 82;
  static void group(float* out, const uint8_t* b, int g) {
    const float d = block_f16(b);
    for (int l = 0; l < 4; ++l) {
      const int point = b[2 + 4 * g + l] | (b[66 + g] >> (2 * l) & 3) << 8;
      const float scale = d * (0.5F + static_cast<float>(b[74 + g] >> (l / 2 * 4) & 15)) * 0.25F;
      iq2_point(out + 8 * l, kGridIq2S[point], scale, kSigns[b[34 + 4 * g + l]]);
    }
  }
};

// h d, bytes of points of four elements, then of each 32 elements 32 bits as in iq2_xxs
struct Iq3Xxs {
  static constexpr int kElements = 256, kBytes = 98;
  static void group(float* out, const uint8_t* b, int g) {
    const auto bits = block_load<uint32_t>(b + 66 + 4 * g);
    const float scale = block_f16(b) * (0.5F + static_cast<float>(bits >> 28)) * 0.5F;
    for (int l = 0; l < 4; ++l) {
      uint64_t values = 0;
      for (int i = 0; i < 8; ++i) {
        const int point = kGridIq3Xxs[b[2 + 8 * g + 2 * l + i / 4]];
        values |= static_cast<uint64_t>(kIq3XxsValues[static_cast<size_t>(point >> (4 * (i % 4)) & 7)])
                  << (8 * i);
      }
      put_eight(out + 8 * l, with_signs(values, even_signs(bits >> (7 * l))), scale);
    }
  }
};

// h d, lower bytes of points of four elements, their ninth bits, bytes of signs, 4-bit scales of 32
struct Iq3S {
  static constexpr int kElements = 256, kBytes = 110;
  static void group(float* out, const uint8_t* b, int g) {
    const float scale = block_f16(b) * static_cast<float>(1 + 2 * (b[106 + g / 2] >> (g % 2 * 4) & 15));
    for (int l = 0; l < 4; ++l) {
      uint64_t values = 0;
      for (int half = 0; half < 2; ++half) {
        const int at = 2 * l + half;
        const auto point = static_cast<uint64_t>(kGridIq3S[b[2 + 8 * g + at] | (b[66 + g] >> at & 1) << 8]);
        // Nibbles to bytes.
        const uint64_t bytes =
            (point & 0xf) | (point & 0xf0) << 4 | (point & 0xf00) << 8 | (point & 0xf000) << 12;
        values |= (2 * bytes + 0x01010101u) << (32 * half);
      }
      put_eight(out + 8 * l, with_signs(values, kSigns[b[74 + 4 * g + l]]), scale);
    }
  }
};

// Points in eighths, shifted by one of them; `scale` is exact, so an eighth of it is.
inline void iq1_point(float* out, uint16_t point, float scale, bool down) {
  const uint64_t values = eight(kIq1Values, point);
  int8_t v[8];
  std::memcpy(v, &values, 8);
  const int shift = down ? -1 : 1;
  for (int i = 0; i < 8; ++i) out[i] = scale * (0.125F * static_cast<float>(v[i] + shift));
}

// h d, lower bytes of points, of each 32 elements 16 bits: four times 3 upper bits of points, 3 of scale, one
// for the side to which the points are shifted
struct Iq1S {
  static constexpr int kElements = 256, kBytes = 50;
  static void group(float* out, const uint8_t* b, int g) {
    const auto bits = block_load<uint16_t>(b + 34 + 2 * g);
    const float scale = block_f16(b) * static_cast<float>(2 * (bits >> 12 & 7) + 1);
    for (int l = 0; l < 4; ++l)
      iq1_point(out + 8 * l, kGridIq1[b[2 + 4 * g + l] | (bits >> (3 * l) & 7) << 8], scale,
                (bits & 0x8000) != 0);
  }
};

// Lower bytes of points, nibbles of 3 upper bits and a side, 16-bit words of four 3-bit scales of 16, whose
// upper nibbles are the four of h d
struct Iq1M {
  static constexpr int kElements = 256, kBytes = 56;
  static void group(float* out, const uint8_t* b, int g) {
    uint8_t d[2];
    d[0] = static_cast<uint8_t>(b[49] >> 4 | (b[51] & 0xf0));
    d[1] = static_cast<uint8_t>(b[53] >> 4 | (b[55] & 0xf0));
    const int scales = block_load<uint16_t>(b + 48 + g / 2 * 2) >> (g % 2 * 6);
    for (int l = 0; l < 4; ++l) {
      const int high = b[32 + 2 * g + l / 2] >> (l % 2 * 4);
      const float scale = block_f16(d) * static_cast<float>(2 * (scales >> (l / 2 * 3) & 7) + 1);
      iq1_point(out + 8 * l, kGridIq1[b[4 * g + l] | (high & 7) << 8], scale, (high & 8) != 0);
    }
  }
};

}  // namespace qw::cpu
