// The table of AVX2 with FMA and F16C. No library code here: docs/design.md §4, "Hazards".
#include "backend/cpu/blocks/blocks.h"
#include "backend/cpu/kernel_table.h"
#include "backend/cpu/peak_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace qw::cpu {
namespace {
#include "backend/cpu/kernels/peaks.inl"
#include "backend/cpu/kernels/table.inl"
#include "backend/cpu/simd/avx2.h"
}  // namespace

void fill_avx2(KernelTable<float>& table) {
  table.isa = "avx2";
  fill_table<Avx2>(table);
}

void fill_peaks_avx2(PeakKernels& kernels) {
  kernels.read = Peaks<Avx2>::read;
  kernels.f32 = {Peaks<Avx2>::fma, Peaks<Avx2>::kFmaOps};
}

}  // namespace qw::cpu
#endif
