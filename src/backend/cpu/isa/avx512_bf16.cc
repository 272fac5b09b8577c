// Products of bf16 operands by the dot instruction of AVX-512 BF16. No library code here: docs/design.md §4,
// "Hazards". Test: tests/backend/packed_test.cc
#include "backend/cpu/kernel_table.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace qw::cpu {
namespace {
#include "backend/cpu/kernels/packed.inl"
#include "backend/cpu/simd/avx512.h"

// vdpbf16ps adds the upper product of a pair first and then the lower one, each as an fma: with the earlier k
// in the upper half this is the chain of RoundedOp (but for subnormal numbers, which it takes as 0).
struct DotOp {
  using Vocabulary = Avx512;
  using vec = __m512;
  static constexpr int kDepth = 2;
  [[gnu::always_inline]] static inline vec unit(vec first, vec second) {
    const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(Avx512::round_bf16(second)), 16);
    return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(Avx512::round_bf16(first)), low));
  }
  [[gnu::always_inline]] static inline vec multiply_add(vec a, vec b, vec c) {
    return _mm512_dpbf16_ps(c, bits(a), bits(b));
  }

 private:
  [[gnu::always_inline]] static inline __m512bh bits(vec x) {
    __m512bh y;
    static_assert(sizeof x == sizeof y);
    __builtin_memcpy(&y, &x, sizeof y);
    return y;
  }
};
}  // namespace

void fill_avx512_bf16(KernelTable<float>& table) {
  table.bf16_product = Packed<DotOp>::kernels();
}

}  // namespace qw::cpu
#endif
