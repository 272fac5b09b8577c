#include "backend/cpu/peaks.h"

#include <gtest/gtest.h>

#include "backend/cpu/cpu_features.h"

namespace qw {
namespace {

TEST(Peaks, AreThoseOfAMachine) {
  const CpuPeaks p = measure_peaks(1);
  const cpu::CpuFeatures f = cpu::cpu_features();
  EXPECT_EQ(p.threads, 1);
  // From a small core under a sanitizer to the largest there is.
  EXPECT_GT(p.read_gb_s, 0.05);
  EXPECT_LT(p.read_gb_s, 2000);
  EXPECT_GT(p.f32_gflop_s, 0.1);
  EXPECT_LT(p.f32_gflop_s, 1000);
  EXPECT_EQ(p.bf16_gflop_s > 0, f.avx512_bf16);
  EXPECT_EQ(p.int8_gop_s > 0, f.avx512_vnni);
}

}  // namespace
}  // namespace qw
