// The table of AVX2 with FMA and F16C. No library code here: docs/design.md §4, "Hazards".
#include "backend/cpu/kernel_table.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace qw::cpu {
namespace {
#include "backend/cpu/kernels/table.inl"
#include "backend/cpu/simd/avx2.h"
}  // namespace

void fill_avx2(KernelTable<float>& table) {
  table.isa = "avx2";
  fill_table<Avx2>(table);
}

}  // namespace qw::cpu
#endif
