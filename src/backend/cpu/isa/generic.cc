// The table of every machine, f32 and f64. No library code here: docs/design.md §4, "Hazards".
#include "backend/cpu/blocks/blocks.h"
#include "backend/cpu/kernel_table.h"
#include "backend/cpu/peak_kernels.h"

namespace qw::cpu {
namespace {
#include "backend/cpu/kernels/peaks.inl"
#include "backend/cpu/kernels/table.inl"
#include "backend/cpu/simd/generic.h"
}  // namespace

void fill_generic(KernelTable<float>& table) {
  table.isa = "generic";
  fill_table<Generic<float>>(table);
}

void fill_generic(KernelTable<double>& table) {
  table.isa = "generic";
  fill_table<Generic<double>>(table);
}

void fill_peaks_generic(PeakKernels& kernels) {
  kernels.read = Peaks<Generic<float>>::read;
  kernels.f32 = {Peaks<Generic<float>>::fma, Peaks<Generic<float>>::kFmaOps};
}

}  // namespace qw::cpu
