// Scalar number conversions for isa/*.cc, without library code. Included inside an anonymous namespace.
#pragma once

inline float scalar_sqrt(float x) {
  return __builtin_sqrtf(x);
}
inline double scalar_sqrt(double x) {
  return __builtin_sqrt(x);
}
inline float scalar_exp(float x) {
  return __builtin_expf(x);
}
inline double scalar_exp(double x) {
  return __builtin_exp(x);
}
inline float scalar_log(float x) {
  return __builtin_logf(x);
}
inline double scalar_log(double x) {
  return __builtin_log(x);
}

template <class To, class From>
inline To scalar_bits(From x) {
  static_assert(sizeof(To) == sizeof(From));
  To y;
  __builtin_memcpy(&y, &x, sizeof y);
  return y;
}

template <class T>
inline T scalar_load(const void* p) {
  T x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}

inline float scalar_f16(const uint8_t* p) {
  const uint32_t h = scalar_load<uint16_t>(p);
  const uint32_t sign = (h & 0x8000u) << 16;
  const uint32_t rest = h & 0x7fffu;
  if (rest >= 0x7c00u) return scalar_bits<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  if (rest >= 0x400u) return scalar_bits<float>(sign | ((rest << 13) + (112u << 23)));
  const float subnormal = static_cast<float>(rest) * 0x1p-24f;
  return sign != 0 ? -subnormal : subnormal;
}

inline float scalar_bf16(const uint8_t* p) {
  return scalar_bits<float>(static_cast<uint32_t>(scalar_load<uint16_t>(p)) << 16);
}

// Rounds x to `mantissa` explicit bits with smallest normal exponent `min_exponent`, to nearest even, and
// returns it as an integer of units in the last place with sign apart; the common part of f16 and bf16.
inline uint16_t scalar_narrow(double x, int mantissa, int min_exponent, int max_exponent) {
  const auto bits = scalar_bits<uint64_t>(x);
  const auto sign = static_cast<uint16_t>(bits >> 63 << 15);
  const auto infinity = static_cast<uint16_t>((max_exponent - min_exponent + 2) << mantissa);
  const int raw = static_cast<int>(bits >> 52 & 0x7ff);
  const uint64_t fraction = bits & ((uint64_t{1} << 52) - 1);
  if (raw == 0x7ff) {  // a NaN stays one: quiet bit set
    const auto quiet = static_cast<uint16_t>(fraction != 0 ? 1 << (mantissa - 1) : 0);
    return static_cast<uint16_t>(sign | infinity | quiet);
  }
  const int exponent = raw - 1023;
  if (exponent < min_exponent - mantissa - 1) return sign;
  const uint64_t significand = fraction | uint64_t{1} << 52;
  const int below = exponent < min_exponent ? min_exponent - exponent : 0;  // subnormal: fewer bits
  const int drop = 52 - mantissa + below;
  uint64_t kept = significand >> drop;
  const uint64_t rest = significand & ((uint64_t{1} << drop) - 1);
  const uint64_t half = uint64_t{1} << (drop - 1);
  if (rest > half || (rest == half && (kept & 1) != 0)) ++kept;
  if (below == 0)
    kept += static_cast<uint64_t>(exponent - min_exponent) << mantissa;  // carries into the exponent
  if (kept > infinity) kept = infinity;
  return static_cast<uint16_t>(sign | kept);
}

inline void scalar_to_f16(void* p, double x) {
  const uint16_t h = scalar_narrow(x, 10, -14, 15);
  __builtin_memcpy(p, &h, sizeof h);
}
inline void scalar_to_bf16(void* p, double x) {
  const uint16_t h = scalar_narrow(x, 7, -126, 127);
  __builtin_memcpy(p, &h, sizeof h);
}
