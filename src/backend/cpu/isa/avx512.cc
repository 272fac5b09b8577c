// The table of AVX-512 (F, BW, VL, DQ). No library code here: docs/design.md §4, "Hazards".
#include "backend/cpu/kernel_table.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace qw::cpu {
namespace {
#include "backend/cpu/kernels/table.inl"
#include "backend/cpu/simd/avx512.h"
}  // namespace

void fill_avx512(KernelTable<float>& table) {
  table.isa = "avx512";
  fill_table<Avx512>(table);
}

}  // namespace qw::cpu
#endif
