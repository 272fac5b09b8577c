// What this machine can do at best, measured: the denominators of every "percent of peak" that qw prints.
// Test: tests/backend/peaks_test.cc
#pragma once

namespace qw {

struct CpuPeaks {
  int threads = 0;
  double read_gb_s = 0;     // reading memory far larger than the caches
  double f32_gflop_s = 0;   // multiply and add of f32, two operations each
  double bf16_gflop_s = 0;  // bf16 dot products; 0 where there is no such instruction
  double int8_gop_s = 0;    // int8 dot products; 0 where there is no such instruction
};

// Takes about a second on `threads` threads (0: available_cores()).
CpuPeaks measure_peaks(int threads = 0);
// Its read_gb_s alone, in half the time; 0 where there is no memory for it.
double measure_read_gb_s(int threads = 0);

}  // namespace qw
