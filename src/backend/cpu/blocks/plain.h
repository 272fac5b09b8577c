// Block formats with one scale a block (and the ternary, binary and FP4 ones): group(out, block, g) decodes
// elements [32 g, 32 g + 32) of a block. Spec: ggml-common.h of ggml-org (block_q4_0 …). `h` below: f16.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace qw::cpu {

inline float block_f16(const uint8_t* p) {
  const auto h = static_cast<uint32_t>(p[0] | p[1] << 8);
  const uint32_t sign = (h & 0x8000u) << 16;
  const uint32_t rest = h & 0x7fffu;
  if (rest >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  if (rest >= 0x400u) return std::bit_cast<float>(sign | ((rest << 13) + (112u << 23)));
  const float subnormal = static_cast<float>(rest) * 0x1p-24f;
  return sign != 0 ? -subnormal : subnormal;
}
template <class T>
inline T block_load(const uint8_t* p) {
  T x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

// h d, 32 × int8
struct Q8_0 {
  static constexpr int kElements = 32, kBytes = 34;
  static void group(float* out, const uint8_t* b, int) {
    const float d = block_f16(b);
    for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(b[2 + i]));
  }
};

// Elements 0 … 15 in the low nibbles, 16 … 31 in the high ones; value(q, i).
template <class Value>
inline void nibble_group(float* out, const uint8_t* q, Value value) {
  for (int i = 0; i < 16; ++i) {
    out[i] = value(q[i] & 15, i);
    out[i + 16] = value(q[i] >> 4, i + 16);
  }
}

// h d, nibbles; d (q − 8)
struct Q4_0 {
  static constexpr int kElements = 32, kBytes = 18;
  static void group(float* out, const uint8_t* b, int) {
    const float d = block_f16(b);
    nibble_group(out, b + 2, [d](int q, int) { return d * static_cast<float>(q - 8); });
  }
};

// h d, h m, nibbles; d q + m
struct Q4_1 {
  static constexpr int kElements = 32, kBytes = 20;
  static void group(float* out, const uint8_t* b, int) {
    const float d = block_f16(b), m = block_f16(b + 2);
    nibble_group(out, b + 4, [=](int q, int) { return d * static_cast<float>(q) + m; });
  }
};

// h d, 32 fifth bits, nibbles; d (q − 16)
struct Q5_0 {
  static constexpr int kElements = 32, kBytes = 22;
  static void group(float* out, const uint8_t* b, int) {
    const float d = block_f16(b);
    const auto high = block_load<uint32_t>(b + 2);
    nibble_group(out, b + 6, [=](int q, int i) {
      return d * static_cast<float>((q | static_cast<int>(high >> i & 1) << 4) - 16);
    });
  }
};

// h d, h m, 32 fifth bits, nibbles; d q + m
struct Q5_1 {
  static constexpr int kElements = 32, kBytes = 24;
  static void group(float* out, const uint8_t* b, int) {
    const float d = block_f16(b), m = block_f16(b + 2);
    const auto high = block_load<uint32_t>(b + 4);
    nibble_group(out, b + 8, [=](int q, int i) {
      return d * static_cast<float>(q | static_cast<int>(high >> i & 1) << 4) + m;
    });
  }
};

// The 4-bit code book of IQ4_NL and IQ4_XS.
inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};
// Twice the values of e2m1 (sign, 2 bits of exponent, 1 of mantissa).
inline constexpr int8_t kFp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// h d, nibbles; d · value[q]
struct Iq4Nl {
  static constexpr int kElements = 32, kBytes = 18;
  static void group(float* out, const uint8_t* b, int) {
    const float d = block_f16(b);
    nibble_group(out, b + 2, [d](int q, int) { return d * static_cast<float>(kIq4Values[q]); });
  }
};

// 2^(e − 128), half of what e8m0 says, for the doubled values; subnormal for e < 2.
inline float block_e8m0_half(uint8_t e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23);
}

// e8m0 scale, nibbles
struct Mxfp4 {
  static constexpr int kElements = 32, kBytes = 17;
  static void group(float* out, const uint8_t* b, int) {
    const float d = block_e8m0_half(b[0]);
    nibble_group(out, b + 1, [d](int q, int) { return d * static_cast<float>(kFp4Values[q]); });
  }
};

// Half of an unsigned e4m3: the sign bit does not count; 0x7f (NaN) stands for 0, as in ggml.
inline float block_ue4m3_half(uint8_t x) {
  if (x == 0x7f) return 0.0F;
  const int e = x >> 3 & 15, m = x & 7;
  const float scale = std::bit_cast<float>(static_cast<uint32_t>((e == 0 ? 1 : e) + 127 - 7 - 3 - 1) << 23);
  return static_cast<float>(e == 0 ? m : 8 + m) * scale;
}

// Four ue4m3 scales, one for each 16 elements, whose nibbles are in 8 bytes
struct Nvfp4 {
  static constexpr int kElements = 64, kBytes = 36;
  static void group(float* out, const uint8_t* b, int g) {
    for (int s = 2 * g; s < 2 * g + 2; ++s, out += 16) {
      const float d = block_ue4m3_half(b[s]);
      for (int i = 0; i < 8; ++i) {
        const int q = b[4 + 8 * s + i];
        out[i] = d * static_cast<float>(kFp4Values[q & 15]);
        out[i + 8] = d * static_cast<float>(kFp4Values[q >> 4]);
      }
    }
  }
};

// The f32 scale of the tensor, then nvfp4
struct Nvfp4S {
  static constexpr int kElements = 64, kBytes = 40;
  static void group(float* out, const uint8_t* b, int g) {
    const auto scale = block_load<float>(b);
    Nvfp4::group(out, b + 4, g);
    for (int i = 0; i < 32; ++i) out[i] *= scale;
  }
};

// 48 bytes of five base-3 digits, 4 bytes of four, h d. A byte holds ceil(digits · 256 / 3⁵): multiplied by
// 3^j modulo 256, its leading digit is the j-th.
struct Tq1_0 {
  static constexpr int kElements = 256, kBytes = 54;
  static void group(float* out, const uint8_t* b, int g) {
    constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
    const float d = block_f16(b + 52);
    for (int i = 0; i < 32; ++i) {
      const int e = 32 * g + i;
      const int byte = e < 160 ? e % 32 : e < 240 ? 32 + (e - 160) % 16 : 48 + (e - 240) % 4;
      const int power = e < 160 ? e / 32 : e < 240 ? (e - 160) / 16 : (e - 240) / 4;
      const auto digits = static_cast<uint8_t>(b[byte] * kPowers[power]);
      out[i] = d * static_cast<float>((digits * 3 >> 8) - 1);
    }
  }
};

// 2 bits an element, planes of 32 in a byte; h d; d (q − 1)
struct Tq2_0 {
  static constexpr int kElements = 256, kBytes = 66;
  static void group(float* out, const uint8_t* b, int g) {
    const float d = block_f16(b + 64);
    const uint8_t* q = b + g / 4 * 32;
    const int shift = g % 4 * 2;
    for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>((q[i] >> shift & 3) - 1);
  }
};

// h d, one bit an element, lowest first: set d, clear −d
struct Q1_0 {
  static constexpr int kElements = 128, kBytes = 18;
  static void group(float* out, const uint8_t* b, int g) {
    const float d = block_f16(b);
    for (int i = 0; i < 32; ++i) out[i] = (b[2 + 4 * g + i / 8] >> (i % 8) & 1) != 0 ? d : -d;
  }
};

// h d, two bits an element, lowest first; d (q − 1)
struct Q2_0 {
  static constexpr int kElements = 64, kBytes = 18;
  static void group(float* out, const uint8_t* b, int g) {
    const float d = block_f16(b);
    for (int i = 0; i < 32; ++i)
      out[i] = d * static_cast<float>((b[2 + 8 * g + i / 4] >> (i % 4 * 2) & 3) - 1);
  }
};

}  // namespace qw::cpu
