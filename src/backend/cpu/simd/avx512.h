// Vector vocabulary of AVX-512 (F, BW, VL, DQ), 16 × f32. Included inside an anonymous namespace, after
// <immintrin.h>.
#pragma once

#include "backend/cpu/simd/scalar.h"

struct Avx512 {
  using Real = float;
  using vec = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kTileM = 6;  // 24 accumulators, 4 weights, 1 x: 29 of 32 registers
  static constexpr int kGemmM = 6;  // 24 accumulators, 4 of B, 1 of A
  static constexpr int kGemmVecs = 4;
  static constexpr int kFewRows = 3;  // rows of x up to which decoding weights in registers beats a panel
  // Packed products: 24 accumulators, 4 of B, 1 of A. Of the tiles with as many accumulators this one has the
  // fewest instructions a product, which shows where a neighbour shares the core.
  static constexpr int kPackRows = 6;
  static constexpr int kPackVecs = 4;
  static constexpr bool kFusedExp = true;

  static inline __mmask16 mask(int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
  static inline vec load(const float* p) { return _mm512_loadu_ps(p); }
  static inline void store(float* p, vec v) { _mm512_storeu_ps(p, v); }
  static inline vec load_n(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(mask(n), p); }
  static inline void store_n(float* p, vec v, int64_t n) { _mm512_mask_storeu_ps(p, mask(n), v); }
  // Lanes [kFirst, kFirst + kN) to p[0], p[1], …
  template <int kFirst, int kN>
  static inline void store_lanes(float* p, vec v) {
    _mm512_mask_storeu_ps(p - kFirst, static_cast<__mmask16>(((1u << kN) - 1u) << kFirst), v);
  }
  static inline vec set1(float x) { return _mm512_set1_ps(x); }
  static inline vec add(vec a, vec b) { return _mm512_add_ps(a, b); }
  static inline vec sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
  static inline vec mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
  static inline vec div(vec a, vec b) { return _mm512_div_ps(a, b); }
  static inline vec fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
  static inline vec max(vec a, vec b) { return _mm512_max_ps(a, b); }
  static inline vec sqrt(vec a) { return _mm512_sqrt_ps(a); }
  static inline vec select_lt(vec a, vec b, vec x, vec y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
  }
  static inline vec round(vec a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static inline vec scale2(vec a, vec n) { return _mm512_scalef_ps(a, n); }

  // Halves, quarters, pairs, singles: reduce_add_4 adds in the same order.
  static inline float reduce_add(vec a) {
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    const __m128 pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
  }
  static inline float reduce_max(vec a) { return _mm512_reduce_max_ps(a); }
  static inline void reduce_add_4(const vec (&a)[4], float (&out)[4]) {
    const vec ab = fold<0x44, 0xee>(a[0], a[1]);
    const vec cd = fold<0x44, 0xee>(a[2], a[3]);
    const vec abcd = fold<0x88, 0xdd>(ab, cd);  // one quarter each
    const vec pairs = _mm512_add_ps(abcd, _mm512_permute_ps(abcd, 0x4e));
    const vec sums = _mm512_add_ps(pairs, _mm512_permute_ps(pairs, 0xb1));
    const __m512i pick = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 8, 4, 0);
    _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_permutexvar_ps(pick, sums)));
  }

  static inline vec load_f16(const void* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  }
  static inline vec load_bf16(const void* p) {
    const __m256i h = _mm256_loadu_si256(static_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
  }
  static inline vec load_i8(const void* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))));
  }
  static inline vec load_u8(const void* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))));
  }
  // e4m3 numbers times 2^−8: as f16 with the sign and the other bits moved into place, also the subnormal
  // ones.
  static inline vec load_e4m3(const void* p) {
    const __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)));
    const __m256i sign = _mm256_and_si256(x, _mm256_set1_epi16(static_cast<short>(0x8000)));
    const __m256i rest = _mm256_slli_epi16(_mm256_and_si256(x, _mm256_set1_epi16(0x7f)), 7);
    return _mm512_cvtph_ps(_mm256_or_si256(sign, rest));
  }
  static inline void store_f16(void* p, vec v) {
    _mm256_storeu_si256(static_cast<__m256i*>(p),
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  // Broadcasts of one f16, and of two neighbours: the load ports do most of it, port 5 is what decoding
  // lacks.
  static inline vec half(const uint8_t* p) {
    return _mm512_cvtph_ps(_mm256_set1_epi16(scalar_load<int16_t>(p)));
  }
  static inline void halves(const uint8_t* p, vec& first, vec& second) {
    const vec both = _mm512_cvtph_ps(_mm256_set1_epi32(scalar_load<int32_t>(p)));
    first = _mm512_moveldup_ps(both);
    second = _mm512_movehdup_ps(both);
  }
  // The sixteen possible values are made once; a permutation looks them up (it reads the low 4 bits alone).
  static inline void nibbles(const uint8_t* p, vec d, vec m, vec (&w)[2]) {
    const vec q = _mm512_set_ps(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const vec table = _mm512_fmadd_ps(d, q, m);
    const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    w[0] = _mm512_permutexvar_ps(bytes, table);
    w[1] = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), table);
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
  static inline Bytes bits_to_16(uint32_t bits) { return _mm256_maskz_set1_epi8(bits, 16); }
  static inline void widen(Bytes q, vec (&w)[2]) {
    w[0] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_castsi256_si128(q)));
    w[1] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_extracti128_si256(q, 1)));
  }
  // Sixteen signed bytes, less `bias`, times d (the first eight) or e.
  static inline void scale_bytes(const void* p, int bias, vec d, vec e, float* out) {
    const __m512i q = _mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
    const vec v = _mm512_cvtepi32_ps(_mm512_sub_epi32(q, _mm512_set1_epi32(bias)));
    store(out, _mm512_mul_ps(v, _mm512_mask_blend_ps(0xff00, d, e)));
  }
  // d · values[q] of a block of 32 nibbles.
  static inline void look_up_real(const uint8_t* p, const float* values, vec d, vec (&w)[2]) {
    const vec table = mul(load(values), d);
    const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    w[0] = _mm512_permutexvar_ps(bytes, table);
    w[1] = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), table);
  }

  // Nearest even; a NaN stays one.
  static inline vec round_bf16(vec v) {
    const __m512i u = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    const __m512i kept = _mm512_mask_or_epi32(up, nan, u, _mm512_set1_epi32(0x400000));
    return _mm512_castsi512_ps(_mm512_and_si512(kept, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  }
  // out[j] lane i = p[i · ld + j] for i < kRows. Quarters are inserted on their way from memory, which spares
  // half of the shuffles.
  template <int kRows>
  static inline void transpose(const float* p, int64_t ld, vec (&out)[16]) {
    for (int q = 0; q < 4; ++q) {
      vec r[4];
      for (int i = 0; i < 4; ++i) {
        const float* at = p + i * ld + 4 * q;
        r[i] = _mm512_castps128_ps512(_mm_loadu_ps(at));
        if (i + 4 < kRows) r[i] = _mm512_insertf32x4(r[i], _mm_loadu_ps(at + 4 * ld), 1);
        if (i + 8 < kRows) r[i] = _mm512_insertf32x4(r[i], _mm_loadu_ps(at + 8 * ld), 2);
        if (i + 12 < kRows) r[i] = _mm512_insertf32x4(r[i], _mm_loadu_ps(at + 12 * ld), 3);
      }
      const __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1]));
      const __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
      const __m512d low23 = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3]));
      const __m512d high23 = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
      out[4 * q] = _mm512_castpd_ps(_mm512_unpacklo_pd(low01, low23));
      out[4 * q + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low01, low23));
      out[4 * q + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high01, high23));
      out[4 * q + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high01, high23));
    }
  }

 private:
  template <int kLow, int kHigh>
  static inline vec fold(vec a, vec b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, kLow), _mm512_shuffle_f32x4(a, b, kHigh));
  }
};
