// The table of every machine, f32 and f64. No library code here: docs/design.md §4, "Hazards".
#include "backend/cpu/kernel_table.h"

namespace qw::cpu {
namespace {
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

}  // namespace qw::cpu
