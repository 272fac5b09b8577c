// The formats of quantised Hugging Face folders (core/dtype.h: int4_32 …): group(out, block, g) decodes
// elements [32 g, 32 g + 32) of a block of kN. The products are those of the libraries in f32. Layouts:
// core/dtype.h.
#pragma once

#include "backend/cpu/blocks/plain.h"

namespace qw::cpu {

// u32 head: the upper 24 bits of f32 d, then z; nibbles; d (q − z)
template <int kN>
struct Int4 {
  static constexpr int kElements = kN, kBytes = 4 + kN / 2;
  static void group(float* out, const uint8_t* b, int g) {
    const auto head = block_load<uint32_t>(b);
    const float d = std::bit_cast<float>(head & 0xffffff00u);
    const int z = static_cast<int>(head & 0xffu);
    nibble_group(out, b + 4 + 16 * g, [=](int q, int) { return d * static_cast<float>(q - z); });
  }
};

// f32 d, f32 z, bytes; d (q − z)
template <int kN>
struct Int8 {
  static constexpr int kElements = kN, kBytes = 8 + kN;
  static void group(float* out, const uint8_t* b, int g) {
    const auto d = block_load<float>(b), z = block_load<float>(b + 4);
    for (int i = 0; i < 32; ++i) out[i] = d * (static_cast<float>(b[8 + 32 * g + i]) - z);
  }
};

// f32 d, e4m3 bytes; d q
template <int kN>
struct E4m3 {
  static constexpr int kElements = kN, kBytes = 4 + kN;
  static void group(float* out, const uint8_t* b, int g) {
    const auto d = block_load<float>(b);
    for (int i = 0; i < 32; ++i) {
      const int q = b[4 + 32 * g + i], e = q >> 3 & 15, m = q & 7;
      const float unit = std::bit_cast<float>(static_cast<uint32_t>((e == 0 ? 1 : e) + 127 - 7 - 3) << 23);
      const float value = static_cast<float>(e == 0 ? m : 8 + m) * unit;
      out[i] = d * (q >= 128 ? -value : value);
    }
  }
};

// f32 d, nibbles; d · values[q]
template <int kN, const float (&values)[16]>
struct Table4 {
  static constexpr int kElements = kN, kBytes = 4 + kN / 2;
  static void group(float* out, const uint8_t* b, int g) {
    const auto d = block_load<float>(b);
    nibble_group(out, b + 4 + 16 * g, [=](int q, int) { return d * values[q]; });
  }
};

// f32 d, int8; (d q) · f32(1 / 127)
template <int kN>
struct Scb8 {
  static constexpr int kElements = kN, kBytes = 4 + kN;
  static void group(float* out, const uint8_t* b, int g) {
    const auto d = block_load<float>(b);
    for (int i = 0; i < 32; ++i)
      out[i] = d * static_cast<float>(static_cast<int8_t>(b[4 + 32 * g + i])) * 0.007874015748031496F;
  }
};

}  // namespace qw::cpu
