// The IQ1, IQ2 and IQ3 formats: super-blocks of 256 whose elements are points of a lattice (iq_grids.h),
// eight or four at a time, with signs and scales apart. group(out, block, g) decodes elements [32 g, 32 g +
// 32). All values are exact in f32. Spec: ggml-common.h of ggml-org (block_iq1_s …). `h` below: f16.
#pragma once

#include <bit>
#include <cstdint>

#include "backend/cpu/blocks/iq_grids.h"
#include "backend/cpu/blocks/plain.h"

namespace qw::cpu {

inline constexpr int8_t kIq2Values[4] = {8, 25, 43, 0};
inline constexpr int8_t kIq3XxsValues[8] = {4, 12, 20, 28, 36, 44, 52, 62};

// Eight signs from seven bits: their number is even.
inline int even_signs(uint32_t seven) {
  seven &= 127;
  return static_cast<int>(seven | static_cast<uint32_t>(std::popcount(seven) & 1) << 7);
}
inline float signed_value(float scale, int value, int negative) {
  const float v = scale * static_cast<float>(value);
  return negative != 0 ? -v : v;
}
inline void iq2_point(float* out, uint16_t point, float scale, int signs) {
  for (int i = 0; i < 8; ++i) out[i] = signed_value(scale, kIq2Values[point >> (2 * i) & 3], signs >> i & 1);
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
      iq2_point(out + 8 * l, kGridIq2S[point], scale, b[34 + 4 * g + l]);
    }
  }
};

// h d, bytes of points of four elements, then of each 32 elements 32 bits as in iq2_xxs
struct Iq3Xxs {
  static constexpr int kElements = 256, kBytes = 98;
  static void group(float* out, const uint8_t* b, int g) {
    const auto bits = block_load<uint32_t>(b + 66 + 4 * g);
    const float scale = block_f16(b) * (0.5F + static_cast<float>(bits >> 28)) * 0.5F;
    for (int i = 0; i < 32; ++i) {
      const int point = kGridIq3Xxs[b[2 + 8 * g + i / 4]];
      out[i] = signed_value(scale, kIq3XxsValues[point >> (4 * (i % 4)) & 7],
                            even_signs(bits >> (7 * (i / 8))) >> (i % 8) & 1);
    }
  }
};

// h d, lower bytes of points of four elements, their ninth bits, bytes of signs, 4-bit scales of 32
struct Iq3S {
  static constexpr int kElements = 256, kBytes = 110;
  static void group(float* out, const uint8_t* b, int g) {
    const float scale = block_f16(b) * static_cast<float>(1 + 2 * (b[106 + g / 2] >> (g % 2 * 4) & 15));
    for (int i = 0; i < 32; ++i) {
      const int point = kGridIq3S[b[2 + 8 * g + i / 4] | (b[66 + g] >> (i / 4) & 1) << 8];
      out[i] =
          signed_value(scale, 2 * (point >> (4 * (i % 4)) & 7) + 1, b[74 + 4 * g + i / 8] >> (i % 8) & 1);
    }
  }
};

inline void iq1_point(float* out, uint16_t point, float scale, bool down) {
  const float shift = down ? -0.125F : 0.125F;
  for (int i = 0; i < 8; ++i) out[i] = scale * (static_cast<float>((point >> (2 * i) & 3) - 1) + shift);
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
