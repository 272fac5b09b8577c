// Block formats beyond the oldest three, by vectors: codes as 32 signed bytes, then one multiplication and,
// of formats with a minimum, one addition. K formats first unpack the 16 scales (and minima) of 256 elements.
// Needs Bytes in the vocabulary. Bits as in blocks/. Included inside an anonymous namespace.
#pragma once

#include "backend/cpu/kernels/math.inl"

constexpr bool is_super(Format f) {
  return f == kQ2K || f == kQ3K || f == kQ4K || f == kQ5K || f == kQ6K || f == kIq4Xs;
}
constexpr bool is_coded(Format f) {
  return is_super(f) || f == kQ5_0 || f == kQ5_1 || f == kIq4Nl || f == kMxfp4;
}

// What begin() leaves for the eight groups of a super-block: of elements [16 j, 16 j + 16), or of
// [32 j, 32 j + 32) in s[j] and low[j] where a scale covers 32.
struct SuperScales {
  float s[16];
  float low[16];  // added, so negative minima
};

inline constexpr int8_t kVecIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                       1,    13,   25,  38,  53,  69,  89,  113};
inline constexpr int8_t kVecFp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

template <class V>
struct Coded {
  using R = typename V::Real;
  using vec = typename V::vec;
  using B = typename V::Bytes;
  static constexpr int kVecs = 32 / V::kLanes;

  template <Format F>
  static constexpr int kSuperBytes = F == kQ2K   ? 84
                                     : F == kQ3K ? 110
                                     : F == kQ4K ? 144
                                     : F == kQ5K ? 176
                                     : F == kQ6K ? 210
                                                 : 136;

  // The scales of the super-block that element i begins.
  template <Format F>
  [[gnu::always_inline]] static inline void begin(const uint8_t* row, int64_t i, SuperScales& out) {
    const uint8_t* b = row + i / 256 * kSuperBytes<F>;
    if constexpr (F == kQ4K || F == kQ5K) {
      const auto a = scalar_load<uint32_t>(b + 4), m = scalar_load<uint32_t>(b + 8),
                 h = scalar_load<uint32_t>(b + 12);
      const uint32_t bytes[4] = {a & 0x3f3f3f3fu, (h & 0x0f0f0f0fu) | (a >> 2 & 0x30303030u), m & 0x3f3f3f3fu,
                                 (h >> 4 & 0x0f0f0f0fu) | (m >> 2 & 0x30303030u)};
      vec d, dmin;
      V::halves(b, d, dmin);
      V::scale_bytes(bytes, 0, d, V::sub(V::set1(R{0}), dmin), out.s);  // s[8 + g]: the minimum
    } else if constexpr (F == kQ6K) {
      const vec d = V::half(b + 208);
      V::scale_bytes(b + 192, 0, d, d, out.s);
    } else if constexpr (F == kQ3K) {
      const auto l0 = scalar_load<uint32_t>(b + 96), l1 = scalar_load<uint32_t>(b + 100),
                 h = scalar_load<uint32_t>(b + 104);
      constexpr uint32_t low = 0x0f0f0f0fu, pair = 0x03030303u;
      const uint32_t bytes[4] = {(l0 & low) | (h & pair) << 4, (l1 & low) | (h >> 2 & pair) << 4,
                                 (l0 >> 4 & low) | (h >> 4 & pair) << 4,
                                 (l1 >> 4 & low) | (h >> 6 & pair) << 4};
      const vec d = V::half(b + 108);
      V::scale_bytes(bytes, 32, d, d, out.s);
    } else if constexpr (F == kQ2K) {
      const auto x = scalar_load<uint64_t>(b), y = scalar_load<uint64_t>(b + 8);
      constexpr uint64_t low = 0x0f0f0f0f0f0f0f0fu;
      const uint64_t scales[2] = {x & low, y & low}, minima[2] = {x >> 4 & low, y >> 4 & low};
      vec d, dmin;
      V::halves(b + 80, d, dmin);
      dmin = V::sub(V::set1(R{0}), dmin);
      V::scale_bytes(scales, 0, d, d, out.s);
      V::scale_bytes(minima, 0, dmin, dmin, out.low);
    } else if constexpr (F == kIq4Xs) {
      const auto high = scalar_load<uint16_t>(b + 2);
      uint8_t bytes[16] = {};
      for (int g = 0; g < 8; ++g)
        bytes[g] = static_cast<uint8_t>((b[4 + g / 2] >> (g % 2 * 4) & 15) | (high >> (2 * g) & 3) << 4);
      const vec d = V::half(b);
      V::scale_bytes(bytes, 32, d, d, out.s);
    }
  }

  // Elements [i, i + 32).
  template <Format F>
  [[gnu::always_inline]] static inline void block(const uint8_t* row, int64_t i, const SuperScales& k,
                                                  vec (&w)[kVecs]) {
    if constexpr (is_super(F)) {
      super<F>(row + i / 256 * kSuperBytes<F>, static_cast<int>(i % 256 / 32), k, w);
    } else if constexpr (F == kQ5_0) {
      const uint8_t* b = row + i / 32 * 22;
      const B q = V::bytes_or(V::nibble_bytes(b + 6), V::bits_to_16(scalar_load<uint32_t>(b + 2)));
      scaled(V::bytes_sub(q, 16), V::half(b), V::half(b), w);
    } else if constexpr (F == kQ5_1) {
      const uint8_t* b = row + i / 32 * 24;
      const B q = V::bytes_or(V::nibble_bytes(b + 8), V::bits_to_16(scalar_load<uint32_t>(b + 4)));
      vec d, m;
      V::halves(b, d, m);
      lined(q, d, m, d, m, w);
    } else if constexpr (F == kIq4Nl) {
      const uint8_t* b = row + i / 32 * 18;
      const vec d = V::half(b);
      scaled(V::look_up(kVecIq4, V::nibble_bytes(b + 2)), d, d, w);
    } else if constexpr (F == kMxfp4) {
      const uint8_t* b = row + i / 32 * 17;
      const uint32_t e = b[0];
      const vec d = V::set1(scalar_bits<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23));
      scaled(V::look_up(kVecFp4, V::nibble_bytes(b + 1)), d, d, w);
    }
  }

 private:
  template <Format F>
  [[gnu::always_inline]] static inline void super(const uint8_t* b, int g, const SuperScales& k,
                                                  vec (&w)[kVecs]) {
    if constexpr (F == kQ4K) {
      const B q = V::bytes_shift(V::load_bytes(b + 16 + g / 2 * 32), g % 2 * 4, 15);
      lined(q, V::set1(k.s[g]), V::set1(k.s[8 + g]), V::set1(k.s[g]), V::set1(k.s[8 + g]), w);
    } else if constexpr (F == kQ5K) {
      const B low = V::bytes_shift(V::load_bytes(b + 48 + g / 2 * 32), g % 2 * 4, 15);
      const B q = V::bytes_or(low, V::bytes_times_16(V::bytes_shift(V::load_bytes(b + 16), g, 1)));
      lined(q, V::set1(k.s[g]), V::set1(k.s[8 + g]), V::set1(k.s[g]), V::set1(k.s[8 + g]), w);
    } else if constexpr (F == kQ6K) {
      const B low = V::bytes_shift(V::load_bytes(b + g / 4 * 64 + g % 2 * 32), g % 4 / 2 * 4, 15);
      const B high = V::bytes_shift(V::load_bytes(b + 128 + g / 4 * 32), g % 4 * 2, 3);
      const B q = V::bytes_sub(V::bytes_or(low, V::bytes_times_16(high)), 32);
      scaled(q, V::set1(k.s[2 * g]), V::set1(k.s[2 * g + 1]), w);
    } else if constexpr (F == kQ3K) {
      const B low = V::bytes_shift(V::load_bytes(b + 32 + g / 4 * 32), g % 4 * 2, 3);
      const B high = V::bytes_shift(V::load_bytes(b), g, 1);
      const B q = V::bytes_sub(V::bytes_or(low, V::bytes_shift_left_2(high)), 4);
      scaled(q, V::set1(k.s[2 * g]), V::set1(k.s[2 * g + 1]), w);
    } else if constexpr (F == kQ2K) {
      const B q = V::bytes_shift(V::load_bytes(b + 16 + g / 4 * 32), g % 4 * 2, 3);
      lined(q, V::set1(k.s[2 * g]), V::set1(k.low[2 * g]), V::set1(k.s[2 * g + 1]), V::set1(k.low[2 * g + 1]),
            w);
    } else {
      const vec d = V::set1(k.s[g]);
      scaled(V::look_up(kVecIq4, V::nibble_bytes(b + 8 + 16 * g)), d, d, w);
    }
  }

  // d0 and m0 are of the first 16 elements.
  [[gnu::always_inline]] static inline void scaled(B q, vec d0, vec d1, vec (&w)[kVecs]) {
    V::widen(q, w);
    unroll<kVecs>([&](auto s) __attribute__((always_inline)) {
      w[s.value] = V::mul(w[s.value], 2 * s.value < kVecs ? d0 : d1);
    });
  }
  [[gnu::always_inline]] static inline void lined(B q, vec d0, vec m0, vec d1, vec m1, vec (&w)[kVecs]) {
    V::widen(q, w);
    unroll<kVecs>([&](auto s) __attribute__((always_inline)) {
      w[s.value] = 2 * s.value < kVecs ? V::fma(w[s.value], d0, m0) : V::fma(w[s.value], d1, m1);
    });
  }
};
