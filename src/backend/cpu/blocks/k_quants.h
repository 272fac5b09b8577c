// The K formats: super-blocks of 256 with quantised scales of 16 or 32 elements. group(out, block, g) decodes
// elements [32 g, 32 g + 32). Every product below is exact in f32; the formats with a minimum round once, at
// the difference. Spec: ggml-common.h of ggml-org (block_q2_K …). `h` below: f16.
#pragma once

#include <cstdint>

#include "backend/cpu/blocks/plain.h"

namespace qw::cpu {

// 16 bytes (4 bits of scale, 4 of minimum), 2-bit planes, h d, h dmin; d s q − dmin m
struct Q2K {
  static constexpr int kElements = 256, kBytes = 84;
  static void group(float* out, const uint8_t* b, int g) {
    const float d = block_f16(b + 80), dmin = block_f16(b + 82);
    const uint8_t* q = b + 16 + g / 4 * 32;
    const int shift = g % 4 * 2;
    for (int half = 0; half < 2; ++half) {
      const int s = b[2 * g + half];
      const float scale = d * static_cast<float>(s & 15), low = dmin * static_cast<float>(s >> 4);
      for (int i = 16 * half; i < 16 * half + 16; ++i)
        out[i] = scale * static_cast<float>(q[i] >> shift & 3) - low;
    }
  }
};

// The 6-bit scale of 16 elements number j, less 32; `s` are the 12 bytes.
inline int q3k_scale(const uint8_t* s, int j) {
  const int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
  return (low | (s[8 + j % 4] >> (j / 4 * 2) & 3) << 4) - 32;
}

// Third bits (set: no −4), 2-bit planes, 12 bytes of scales, h d; d s q
struct Q3K {
  static constexpr int kElements = 256, kBytes = 110;
  static void group(float* out, const uint8_t* b, int g) {
    const float d = block_f16(b + 108);
    const uint8_t* q = b + 32 + g / 4 * 32;
    const int shift = g % 4 * 2;
    for (int half = 0; half < 2; ++half) {
      const float scale = d * static_cast<float>(q3k_scale(b + 96, 2 * g + half));
      for (int i = 16 * half; i < 16 * half + 16; ++i)
        out[i] = scale * static_cast<float>((q[i] >> shift & 3) - ((b[i] >> g & 1) != 0 ? 0 : 4));
    }
  }
};

// The 6-bit scale and minimum of 32 elements number g; `s` are the 12 bytes of q4_k and q5_k.
inline void q4k_scale(const uint8_t* s, int g, int& scale, int& low) {
  if (g < 4) {
    scale = s[g] & 63;
    low = s[g + 4] & 63;
  } else {
    scale = (s[g + 4] & 15) | s[g - 4] >> 6 << 4;
    low = s[g + 4] >> 4 | s[g] >> 6 << 4;
  }
}

// h d, h dmin, 12 bytes of scales and minima, nibbles: 32 low ones, 32 high ones, …; d s q − dmin m
struct Q4K {
  static constexpr int kElements = 256, kBytes = 144;
  static void group(float* out, const uint8_t* b, int g) {
    int s, m;
    q4k_scale(b + 4, g, s, m);
    const float scale = block_f16(b) * static_cast<float>(s), low = block_f16(b + 2) * static_cast<float>(m);
    const uint8_t* q = b + 16 + g / 2 * 32;
    const int shift = g % 2 * 4;
    for (int i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(q[i] >> shift & 15) - low;
  }
};

// As q4_k, with 32 bytes of fifth bits before the nibbles (bit g of byte i)
struct Q5K {
  static constexpr int kElements = 256, kBytes = 176;
  static void group(float* out, const uint8_t* b, int g) {
    int s, m;
    q4k_scale(b + 4, g, s, m);
    const float scale = block_f16(b) * static_cast<float>(s), low = block_f16(b + 2) * static_cast<float>(m);
    const uint8_t* high = b + 16;
    const uint8_t* q = b + 48 + g / 2 * 32;
    const int shift = g % 2 * 4;
    for (int i = 0; i < 32; ++i)
      out[i] = scale * static_cast<float>((q[i] >> shift & 15) | (high[i] >> g & 1) << 4) - low;
  }
};

// 128 bytes of nibbles, 64 of upper pairs of bits, 16 × int8 scales, h d; d s (q − 32)
struct Q6K {
  static constexpr int kElements = 256, kBytes = 210;
  static void group(float* out, const uint8_t* b, int g) {
    const float d = block_f16(b + 208);
    const uint8_t* low = b + g / 4 * 64 + g % 2 * 32;
    const uint8_t* high = b + 128 + g / 4 * 32;
    const int low_shift = g % 4 / 2 * 4, high_shift = g % 4 * 2;
    for (int half = 0; half < 2; ++half) {
      const float scale = d * static_cast<float>(static_cast<int8_t>(b[192 + 2 * g + half]));
      for (int i = 16 * half; i < 16 * half + 16; ++i) {
        const int q = (low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4;
        out[i] = scale * static_cast<float>(q - 32);
      }
    }
  }
};

// h d, 16 upper bits and 4 bytes of lower nibbles of 6-bit scales, nibbles; d (s − 32) · value[q]
struct Iq4Xs {
  static constexpr int kElements = 256, kBytes = 136;
  static void group(float* out, const uint8_t* b, int g) {
    const int s = (b[4 + g / 2] >> (g % 2 * 4) & 15) | (block_load<uint16_t>(b + 2) >> (2 * g) & 3) << 4;
    const float scale = block_f16(b) * static_cast<float>(s - 32);
    nibble_group(out, b + 8 + 16 * g,
                 [scale](int q, int) { return scale * static_cast<float>(kIq4Values[q]); });
  }
};

}  // namespace qw::cpu
