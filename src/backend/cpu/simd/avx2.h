// Vector vocabulary of AVX2 with FMA and F16C, 8 × f32. Included inside an anonymous namespace, after
// <immintrin.h>.
#pragma once

#include "backend/cpu/simd/scalar.h"

struct Avx2 {
  using Real = float;
  using vec = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kTileM = 2;  // 8 accumulators, 4 weights, 1 x: 13 of 16 registers
  static constexpr int kGemmM = 3;  // 12 accumulators, 2 to 3 of B, 1 of A
  static constexpr int kGemmVecs = 4;
  static constexpr int kFewRows = 3;   // rows of x up to which decoding weights in registers beats a panel
  static constexpr int kPackRows = 6;  // packed products: 12 accumulators, 2 of B, 1 of A
  static constexpr int kPackVecs = 2;
  static constexpr bool kFusedExp = true;

  static inline __m256i mask(int64_t n) {
    const __m256i lane = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
  }
  static inline vec load(const float* p) { return _mm256_loadu_ps(p); }
  static inline void store(float* p, vec v) { _mm256_storeu_ps(p, v); }
  static inline vec load_n(const float* p, int64_t n) { return _mm256_maskload_ps(p, mask(n)); }
  static inline void store_n(float* p, vec v, int64_t n) { _mm256_maskstore_ps(p, mask(n), v); }
  // Lanes [kFirst, kFirst + kN) to p[0], p[1], …
  template <int kFirst, int kN>
  static inline void store_lanes(float* p, vec v) {
    static_assert(kFirst == 0);
    store_n(p, v, kN);
  }
  static inline vec set1(float x) { return _mm256_set1_ps(x); }
  static inline vec add(vec a, vec b) { return _mm256_add_ps(a, b); }
  static inline vec sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
  static inline vec mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
  static inline vec div(vec a, vec b) { return _mm256_div_ps(a, b); }
  static inline vec fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
  static inline vec max(vec a, vec b) { return _mm256_max_ps(a, b); }
  static inline vec sqrt(vec a) { return _mm256_sqrt_ps(a); }
  static inline vec select_lt(vec a, vec b, vec x, vec y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
  }
  static inline vec round(vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // Two factors, so that n = 128 and subnormal results come out right.
  static inline vec scale2(vec a, vec n) {
    const __m256i i = _mm256_cvtps_epi32(n);
    const __m256i half = _mm256_srai_epi32(i, 1);
    return mul(mul(a, power2(half)), power2(_mm256_sub_epi32(i, half)));
  }

  // Halves, pairs, singles: reduce_add_4 adds in the same order.
  static inline float reduce_add(vec a) {
    const vec four[4] = {a, _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    float out[4];
    reduce_add_4(four, out);
    return out[0];
  }
  static inline float reduce_max(vec a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
  }
  static inline void reduce_add_4(const vec (&a)[4], float (&out)[4]) {
    const vec ab = halves(a[0], a[1]), cd = halves(a[2], a[3]);  // [a, b], four lanes each
    const vec pairs_ab = _mm256_add_ps(ab, _mm256_permute_ps(ab, 0x4e));
    const vec pairs_cd = _mm256_add_ps(cd, _mm256_permute_ps(cd, 0x4e));
    const vec mixed = _mm256_shuffle_ps(pairs_ab, pairs_cd, 0x44);  // [a0 a1 c0 c1 | b0 b1 d0 d1]
    const vec sums = _mm256_add_ps(mixed, _mm256_permute_ps(mixed, 0xb1));
    const __m128 low = _mm256_castps256_ps128(sums), high = _mm256_extractf128_ps(sums, 1);
    _mm_storeu_ps(out, _mm_shuffle_ps(_mm_unpacklo_ps(low, high), _mm_unpackhi_ps(low, high), 0x44));
  }

  static inline vec load_f16(const void* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  static inline vec load_bf16(const void* p) {
    const __m128i h = _mm_loadu_si128(static_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
  }
  static inline vec load_i8(const void* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))));
  }
  static inline vec load_u8(const void* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))));
  }
  // e4m3 numbers times 2^−8: as f16 with the sign and the other bits moved into place, also the subnormal
  // ones.
  static inline vec load_e4m3(const void* p) {
    const __m128i x = _mm_cvtepi8_epi16(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
    const __m128i sign = _mm_and_si128(x, _mm_set1_epi16(static_cast<short>(0x8000)));
    const __m128i rest = _mm_slli_epi16(_mm_and_si128(x, _mm_set1_epi16(0x7f)), 7);
    return _mm256_cvtph_ps(_mm_or_si128(sign, rest));
  }
  static inline void store_f16(void* p, vec v) {
    _mm_storeu_si128(static_cast<__m128i*>(p),
                     _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  // Broadcasts of one f16, and of two neighbours.
  static inline vec half(const uint8_t* p) {
    return _mm256_cvtph_ps(_mm_set1_epi16(scalar_load<int16_t>(p)));
  }
  static inline void halves(const uint8_t* p, vec& first, vec& second) {
    const vec both = _mm256_cvtph_ps(_mm_set1_epi32(scalar_load<int32_t>(p)));
    first = _mm256_moveldup_ps(both);
    second = _mm256_movehdup_ps(both);
  }
  static inline void nibbles(const uint8_t* p, vec d, vec m, vec (&w)[4]) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i low = _mm_and_si128(bytes, _mm_set1_epi8(15));
    const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
    w[0] = fma(d, widen(low), m);
    w[1] = fma(d, widen(_mm_unpackhi_epi64(low, low)), m);
    w[2] = fma(d, widen(high), m);
    w[3] = fma(d, widen(_mm_unpackhi_epi64(high, high)), m);
  }

  // 32 bytes: the codes of a group. Shifts take every byte's bits with them, so the mask follows.
  using Bytes = __m256i;
  static constexpr bool kHasBytes = true;
  static inline Bytes load_bytes(const uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static inline Bytes bytes_or(Bytes a, Bytes b) { return _mm256_or_si256(a, b); }
  static inline Bytes bytes_sub(Bytes a, int b) {
    return _mm256_sub_epi8(a, _mm256_set1_epi8(static_cast<char>(b)));
  }
  static inline Bytes bytes_shift(Bytes a, int n, int mask) {
    return _mm256_and_si256(_mm256_srl_epi16(a, _mm_cvtsi32_si128(n)),
                            _mm256_set1_epi8(static_cast<char>(mask)));
  }
  static inline Bytes bytes_times_16(Bytes a) { return _mm256_slli_epi16(a, 4); }      // of values below 16
  static inline Bytes bytes_shift_left_2(Bytes a) { return _mm256_slli_epi16(a, 2); }  // of values below 64
  // Sixteen bytes of nibbles: the low ones, then the high ones.
  static inline Bytes nibble_bytes(const uint8_t* p) {
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(b), _mm_srli_epi16(b, 4), 1);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
  }
  static inline Bytes look_up(const int8_t (&table)[16], Bytes codes) {
    const __m128i t = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), codes);
  }
  // 16 where a bit is set.
  static inline Bytes bits_to_16(uint32_t bits) {
    const __m256i spread = _mm256_shuffle_epi8(
        _mm256_set1_epi32(static_cast<int>(bits)),
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
    const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit), _mm256_set1_epi8(16));
  }
  static inline void widen(Bytes q, vec (&w)[4]) {
    const __m128i low = _mm256_castsi256_si128(q), high = _mm256_extracti128_si256(q, 1);
    w[0] = signed_widen(low);
    w[1] = signed_widen(_mm_unpackhi_epi64(low, low));
    w[2] = signed_widen(high);
    w[3] = signed_widen(_mm_unpackhi_epi64(high, high));
  }
  // Sixteen signed bytes, less `bias`, times d (the first eight) or e.
  static inline void scale_bytes(const void* p, int bias, vec d, vec e, float* out) {
    const __m128i q =
        _mm_sub_epi8(_mm_loadu_si128(static_cast<const __m128i*>(p)), _mm_set1_epi8(static_cast<char>(bias)));
    store(out, _mm256_mul_ps(signed_widen(q), d));
    store(out + 8, _mm256_mul_ps(signed_widen(_mm_unpackhi_epi64(q, q)), e));
  }
  // d · values[q] of a block of 32 nibbles.
  static inline void look_up_real(const uint8_t* p, const float* values, vec d, vec (&w)[4]) {
    const vec low_values = mul(load(values), d), high_values = mul(load(values + 8), d);
    const auto pick = [&](__m256i q) {  // a permutation reads the low 3 bits; the fourth chooses the half
      const vec upper = _mm256_castsi256_ps(_mm256_slli_epi32(q, 28));
      return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low_values, q),
                              _mm256_permutevar8x32_ps(high_values, q), upper);
    };
    for (int i = 0; i < 2; ++i) {
      const __m256i bytes =
          _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8 * i)));
      w[i] = pick(bytes);
      w[i + 2] = pick(_mm256_srli_epi32(bytes, 4));
    }
  }

  // Nearest even; a NaN stays one.
  static inline vec round_bf16(vec v) {
    const __m256i u = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const vec quiet = _mm256_or_ps(v, _mm256_castsi256_ps(_mm256_set1_epi32(0x400000)));
    const vec kept = _mm256_blendv_ps(_mm256_castsi256_ps(up), quiet, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    return _mm256_and_ps(kept, _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0xffff0000u))));
  }
  // out[j] lane i = p[i · ld + j] for i < kRows.
  template <int kRows>
  static inline void transpose(const float* p, int64_t ld, vec (&out)[8]) {
    for (int q = 0; q < 2; ++q) {
      vec r[4];
      for (int i = 0; i < 4; ++i) {
        const float* at = p + i * ld + 4 * q;
        r[i] = _mm256_castps128_ps256(_mm_loadu_ps(at));
        if (i + 4 < kRows) r[i] = _mm256_insertf128_ps(r[i], _mm_loadu_ps(at + 4 * ld), 1);
      }
      const __m256d low01 = _mm256_castps_pd(_mm256_unpacklo_ps(r[0], r[1]));
      const __m256d high01 = _mm256_castps_pd(_mm256_unpackhi_ps(r[0], r[1]));
      const __m256d low23 = _mm256_castps_pd(_mm256_unpacklo_ps(r[2], r[3]));
      const __m256d high23 = _mm256_castps_pd(_mm256_unpackhi_ps(r[2], r[3]));
      out[4 * q] = _mm256_castpd_ps(_mm256_unpacklo_pd(low01, low23));
      out[4 * q + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low01, low23));
      out[4 * q + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(high01, high23));
      out[4 * q + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(high01, high23));
    }
  }

 private:
  static inline vec signed_widen(__m128i bytes) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)); }
  static inline vec widen(__m128i bytes) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)); }
  static inline vec power2(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }
  static inline vec halves(vec a, vec b) {
    return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
  }
};
