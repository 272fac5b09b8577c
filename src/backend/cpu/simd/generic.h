// Vector vocabulary without an instruction set: 16-byte vectors of the compiler, float or double. fma is two
// roundings here (a machine without the instruction would call a slow library function).
#pragma once

#include <cstdint>

#include "backend/cpu/simd/scalar.h"

template <class R>
struct GenericTypes;
template <>
struct GenericTypes<float> {
  typedef float vec __attribute__((vector_size(16)));
  typedef int32_t ivec __attribute__((vector_size(16)));
  using Int = int32_t;
};
template <>
struct GenericTypes<double> {
  typedef double vec __attribute__((vector_size(16)));
  typedef int64_t ivec __attribute__((vector_size(16)));
  using Int = int64_t;
};

template <class R>
struct Generic {
  using Real = R;
  using vec = typename GenericTypes<R>::vec;
  using ivec = typename GenericTypes<R>::ivec;
  static constexpr int kLanes = 16 / sizeof(R);
  static constexpr int kTileM = 2;                   // rows of x of a register tile of linear
  static constexpr int kGemmM = 2;                   // rows of a register tile of gemm
  static constexpr int kGemmVecs = 4;                // vectors of columns there
  static constexpr int kFewRows = 0;                 // always a panel: short to compile, and no slower here
  static constexpr int kPackRows = 2;                // rows of a register tile of packed products
  static constexpr int kPackVecs = 4;                // vectors of columns there
  static constexpr bool kHasBytes = false;           // decode_groups is as fast
  static constexpr bool kFusedExp = sizeof(R) == 4;  // the f32 polynomial; f64 asks the C library

  static inline vec load(const R* p) {
    vec v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  static inline void store(R* p, vec v) { __builtin_memcpy(p, &v, sizeof v); }
  static inline vec load_n(const R* p, int64_t n) {
    vec v = {};
    for (int i = 0; i < kLanes; ++i)
      if (i < n) v[i] = p[i];
    return v;
  }
  static inline void store_n(R* p, vec v, int64_t n) {
    for (int i = 0; i < kLanes; ++i)
      if (i < n) p[i] = v[i];
  }
  // Lanes [kFirst, kFirst + kN) to p[0], p[1], …
  template <int kFirst, int kN>
  static inline void store_lanes(R* p, vec v) {
    for (int i = 0; i < kN; ++i) p[i] = v[kFirst + i];
  }
  static inline vec set1(R x) { return x - vec{}; }
  static inline vec add(vec a, vec b) { return a + b; }
  static inline vec sub(vec a, vec b) { return a - b; }
  static inline vec mul(vec a, vec b) { return a * b; }
  static inline vec div(vec a, vec b) { return a / b; }
  static inline vec fma(vec a, vec b, vec c) { return a * b + c; }
  static inline vec max(vec a, vec b) { return a > b ? a : b; }
  static inline vec sqrt(vec a) {
    for (int i = 0; i < kLanes; ++i) a[i] = scalar_sqrt(a[i]);
    return a;
  }
  // a < b ? x : y
  static inline vec select_lt(vec a, vec b, vec x, vec y) { return a < b ? x : y; }
  // Nearest integer, |a| < 2^22.
  static inline vec round(vec a) {
    const vec magic = set1(R(sizeof(R) == 4 ? 12582912.0 : 6755399441055744.0));
    return (a + magic) - magic;
  }
  // a · 2^n for whole n in −252 … 254, with one rounding where the result is subnormal.
  static inline vec scale2(vec a, vec n) {
    const ivec i = __builtin_convertvector(n, ivec);
    const ivec half = i >> 1;
    constexpr int bias = sizeof(R) == 4 ? 127 : 1023;
    constexpr int shift = sizeof(R) == 4 ? 23 : 52;
    return a * reinterpret_cast<vec>((half + bias) << shift) *
           reinterpret_cast<vec>((i - half + bias) << shift);
  }
  static inline R reduce_add(vec a) {
    if constexpr (kLanes == 2) return a[0] + a[1];
    if constexpr (kLanes == 4) return (a[0] + a[2]) + (a[1] + a[3]);
  }
  static inline R reduce_max(vec a) {
    R m = a[0];
    for (int i = 1; i < kLanes; ++i) m = a[i] > m ? a[i] : m;
    return m;
  }
  // The sums of four vectors, each added up in the order of reduce_add.
  static inline void reduce_add_4(const vec (&a)[4], R (&out)[4]) {
    for (int i = 0; i < 4; ++i) out[i] = reduce_add(a[i]);
  }

  static inline vec load_f16(const void* p) {
    return gather(p, 2, [](const uint8_t* q) { return scalar_f16(q); });
  }
  static inline vec load_bf16(const void* p) {
    return gather(p, 2, [](const uint8_t* q) { return scalar_bf16(q); });
  }
  static inline vec load_i8(const void* p) {
    return gather(p, 1, [](const uint8_t* q) { return static_cast<float>(static_cast<int8_t>(*q)); });
  }
  static inline void store_f16(void* p, vec v) {
    for (int i = 0; i < kLanes; ++i)
      scalar_to_f16(static_cast<uint8_t*>(p) + 2 * i, static_cast<double>(v[i]));
  }
  static inline vec half(const uint8_t* p) { return set1(static_cast<R>(scalar_f16(p))); }
  static inline void halves(const uint8_t* p, vec& first, vec& second) {
    first = half(p);
    second = half(p + 2);
  }
  // d · q + m of a block of 32 nibbles.
  static inline void nibbles(const uint8_t* p, vec d, vec m, vec (&w)[32 / kLanes]) {
    for (int i = 0; i < 16; ++i) {
      const R low = d[0] * static_cast<R>(p[i] & 15) + m[0];
      const R high = d[0] * static_cast<R>(p[i] >> 4) + m[0];
      w[i / kLanes][i % kLanes] = low;
      w[(i + 16) / kLanes][i % kLanes] = high;
    }
  }

  // Nearest even; a NaN stays one. f32 alone.
  static inline vec round_bf16(vec v) {
    for (int i = 0; i < kLanes; ++i) {
      const auto u = scalar_bits<uint32_t>(v[i]);
      const uint32_t kept = v[i] != v[i] ? u | 0x400000u : u + 0x7fffu + (u >> 16 & 1u);
      v[i] = scalar_bits<float>(kept & 0xffff0000u);
    }
    return v;
  }
  // out[j] lane i = p[i · ld + j] for i < kRows.
  template <int kRows>
  static inline void transpose(const R* p, int64_t ld, vec (&out)[kLanes]) {
    for (int j = 0; j < kLanes; ++j)
      for (int i = 0; i < kLanes; ++i) out[j][i] = i < kRows ? p[i * ld + j] : R{0};
  }

 private:
  template <class Get>
  static inline vec gather(const void* p, int step, Get get) {
    vec v;
    for (int i = 0; i < kLanes; ++i) v[i] = static_cast<R>(get(static_cast<const uint8_t*>(p) + step * i));
    return v;
  }
};
