// What instruction sets this processor and operating system run. Test: tests/backend/peaks_test.cc
#pragma once

namespace qw::cpu {

struct CpuFeatures {
  bool avx2 = false;         // with FMA and F16C
  bool avx512 = false;       // F, BW, VL, DQ, on top of the above
  bool avx512_vnni = false;  // int8 dot
  bool avx512_bf16 = false;  // bf16 dot
  // Its products are faster than those of f32. Not on Intel's cores, where one dot takes as long as four fma.
  bool avx512_bf16_fast = false;
};
CpuFeatures cpu_features();

}  // namespace qw::cpu
