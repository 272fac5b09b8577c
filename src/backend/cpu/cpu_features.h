// What instruction sets this processor and operating system run. Test: tests/backend/peaks_test.cc
#pragma once

namespace qw::cpu {

struct CpuFeatures {
  bool avx2 = false;         // with FMA and F16C
  bool avx512 = false;       // F, BW, VL, DQ, on top of the above
  bool avx512_vnni = false;  // int8 dot
  bool avx512_bf16 = false;  // bf16 dot
};
CpuFeatures cpu_features();

}  // namespace qw::cpu
