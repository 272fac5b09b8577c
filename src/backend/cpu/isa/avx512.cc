// The table of AVX-512 (F, BW, VL, DQ). No library code here: docs/design.md §4, "Hazards".
#include "backend/cpu/blocks/blocks.h"
#include "backend/cpu/kernel_table.h"
#include "backend/cpu/peak_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace qw::cpu {
namespace {
#include "backend/cpu/kernels/peaks.inl"
#include "backend/cpu/kernels/table.inl"
#include "backend/cpu/simd/avx512.h"

// Extensions that the table itself does not need: compiled in by attribute, run where the machine has them.
[[gnu::target("avx512bf16")]] double bf16_dots(int64_t rounds) {
  __m512 acc[Peaks<Avx512>::kChains];
  for (auto& a : acc) a = _mm512_setzero_ps();
  const __m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1.0f), _mm512_set1_ps(1.0f));
  for (int64_t r = 0; r < rounds; ++r)
    for (auto& a : acc) {
      a = _mm512_dpbf16_ps(a, x, x);
      asm volatile("" : "+v"(a));
    }
  double total = 0;
  for (const auto& a : acc) total += static_cast<double>(Avx512::reduce_add(a));
  return total;
}

[[gnu::target("avx512vnni")]] double int8_dots(int64_t rounds) {
  __m512i acc[Peaks<Avx512>::kChains];
  for (auto& a : acc) a = _mm512_setzero_si512();
  const __m512i x = _mm512_set1_epi8(3);
  for (int64_t r = 0; r < rounds; ++r)
    for (auto& a : acc) {
      a = _mm512_dpbusd_epi32(a, x, x);
      asm volatile("" : "+v"(a));
    }
  double total = 0;
  for (const auto& a : acc) total += static_cast<double>(_mm512_reduce_add_epi32(a));
  return total;
}
}  // namespace

void fill_avx512(KernelTable<float>& table) {
  table.isa = "avx512";
  fill_table<Avx512>(table);
}

void fill_peaks_avx512(PeakKernels& kernels, bool bf16, bool int8) {
  using P = Peaks<Avx512>;
  kernels.read = P::read;
  kernels.f32 = {P::fma, P::kFmaOps};
  if (bf16) kernels.bf16 = {bf16_dots, 4.0 * P::kChains * Avx512::kLanes};
  if (int8) kernels.int8 = {int8_dots, 8.0 * P::kChains * Avx512::kLanes};
}

}  // namespace qw::cpu
#endif
