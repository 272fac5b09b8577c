// The formats of quantised Hugging Face folders (core/dtype.h: int4_32 …): 32 elements of a row as vectors.
// The products are those of the libraries in f32: a scale of f16 or bf16 times a small integer is exact, the
// others round once (scb8 twice). Included inside an anonymous namespace. Test:
// tests/backend/hub_formats_test.cc
#pragma once

#include "backend/cpu/kernels/math.inl"

template <class V>
struct HubFormats {
  using R = typename V::Real;
  using vec = typename V::vec;
  static constexpr int kVecs = 32 / V::kLanes;

  // What files usually hold; the others are decoded by decode_groups.
  static constexpr bool is(Format f) {
    return (f >= kInt4_32 && f <= kInt4_128) || f == kInt8_128 || f == kE4m3_128 || f == kNf4_64 ||
           f == kScb8_128;
  }
  static constexpr int elements(Format f) {
    return f == kInt4_32 ? 32 : f == kInt4_64 || f == kNf4_64 ? 64 : 128;
  }
  static constexpr bool nibbles(Format f) { return f <= kInt4_128 || f == kNf4_64; }
  static constexpr int head(Format f) { return f == kInt8_128 ? 8 : 4; }
  static constexpr int bytes(Format f) { return head(f) + elements(f) / (nibbles(f) ? 2 : 1); }

  // Elements [i, i + 32) of a row; i is a multiple of 32.
  template <Format F>
  [[gnu::always_inline]] static inline void block(const uint8_t* row, int64_t i, vec (&w)[kVecs]) {
    const uint8_t* b = row + i / elements(F) * bytes(F);
    const int64_t within = i % elements(F);
    const uint8_t* q = b + head(F) + (nibbles(F) ? within / 2 : within);
    const float scale = scalar_load<float>(b);
    if constexpr (F <= kInt4_128) {
      const auto bits = scalar_bits<uint32_t>(scale);
      const R d = static_cast<R>(scalar_bits<float>(bits & 0xffffff00u));
      V::nibbles(q, V::set1(d), V::set1(-d * static_cast<R>(bits & 0xffu)), w);
    } else if constexpr (F == kInt8_128) {
      const vec d = V::set1(static_cast<R>(scale)), z = V::set1(static_cast<R>(scalar_load<float>(b + 4)));
      each(
          w, [&](int at) __attribute__((always_inline)) { return V::mul(d, V::sub(V::load_u8(q + at), z)); });
    } else if constexpr (F == kE4m3_128) {
      const vec d = V::set1(static_cast<R>(scale) * R{256});  // load_e4m3 is 2^−8 of what it stands for
      each(
          w, [&](int at) __attribute__((always_inline)) { return V::mul(d, V::load_e4m3(q + at)); });
    } else if constexpr (F == kNf4_64) {
      V::look_up_real(q, kNf4Values, V::set1(static_cast<R>(scale)), w);
    } else {
      const vec d = V::set1(static_cast<R>(scale)), c = V::set1(static_cast<R>(0.007874015748031496f));
      each(
          w, [&](int at) __attribute__((always_inline)) { return V::mul(V::mul(V::load_i8(q + at), d), c); });
    }
  }

 private:
  template <class Fn>
  [[gnu::always_inline]] static inline void each(vec (&w)[kVecs], Fn fn) {
    unroll<kVecs>([&](auto s) __attribute__((always_inline)) { w[s.value] = fn(s.value * V::kLanes); });
  }
};
