#include "backend/cpu/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace qw::cpu {

CpuFeatures cpu_features() {
  CpuFeatures f;
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
  // The compiler's builtins ask the operating system too (saved register state).
  f.avx2 = f16c && __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  f.avx512 = f.avx2 && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
             __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512dq") != 0;
  f.avx512_vnni = f.avx512 && __builtin_cpu_supports("avx512vnni") != 0;
  f.avx512_bf16 = f.avx512 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1u << 5)) != 0;
  f.avx512_bf16_fast = f.avx512_bf16 && __get_cpuid(0, &a, &b, &c, &d) != 0 && b != signature_INTEL_ebx;
#endif
  return f;
}

}  // namespace qw::cpu
