// Loops that reach a machine's limits, one set an instruction set; filled by isa/*.cc. Plain pointers for the
// same reason as in kernel_table.h.
#pragma once

#include <cstdint>

namespace qw::cpu {

// Each runs `rounds` rounds and returns something that depends on all of them; ops_a_round is what a round
// counts as, both in operations. Null: no such instruction.
struct PeakLoop {
  double (*run)(int64_t rounds) = nullptr;
  double ops_a_round = 0;
};

struct PeakKernels {
  uint64_t (*read)(const uint8_t* p, int64_t bytes) = nullptr;  // bytes a multiple of 1024
  PeakLoop f32, bf16, int8;
};

// bf16 and int8 are filled only where asked: they are extensions of their own.
void fill_peaks_generic(PeakKernels& kernels);
void fill_peaks_avx2(PeakKernels& kernels);
void fill_peaks_avx512(PeakKernels& kernels, bool bf16, bool int8);

}  // namespace qw::cpu
