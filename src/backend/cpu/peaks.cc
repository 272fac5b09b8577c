#include "backend/cpu/peaks.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>

#include "backend/cpu/cpu_features.h"
#include "backend/cpu/peak_kernels.h"
#include "base/thread_pool.h"

namespace qw {
namespace {

using Clock = std::chrono::steady_clock;

// Large against the last-level cache share of a core, small against memory.
constexpr int64_t kReadBytes = int64_t{512} << 20;
// Read in a timed run, each run further on: again a few milliseconds.
constexpr int64_t kWindowBytes = int64_t{32} << 20;
// Rounds of a timed run of a loop: half a millisecond, shorter than a time slice that another program may
// take.
constexpr int64_t kRounds = 200000;

struct Free {
  void operator()(uint8_t* p) const { std::free(p); }
};

// Shortest time of fn(part, run) on every thread of the pool at once, in seconds, of as many runs as `budget`
// seconds allow (at least 3).
double best_time(ThreadPool& pool, double budget, const std::function<void(int64_t, int)>& fn) {
  double best = 1e30;
  const auto begin = Clock::now();
  for (int r = 0; r < 3 || std::chrono::duration<double>(Clock::now() - begin).count() < budget; ++r) {
    const auto start = Clock::now();
    pool.parallel_for(pool.threads(), 1, [&](int64_t first, int64_t end, int) {
      for (int64_t i = first; i < end; ++i) fn(i, r);
    });
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

double giga_a_second(ThreadPool& pool, const cpu::PeakLoop& loop, std::atomic<double>& sink) {
  if (loop.run == nullptr) return 0;
  const double t = best_time(pool, 0.1, [&](int64_t, int) { sink.store(loop.run(kRounds)); });
  return loop.ops_a_round * static_cast<double>(kRounds) * pool.threads() / t / 1e9;
}

cpu::PeakKernels best_kernels() {
  cpu::PeakKernels kernels;
  cpu::fill_peaks_generic(kernels);
#if defined(__x86_64__)
  const cpu::CpuFeatures f = cpu::cpu_features();
  if (f.avx2) cpu::fill_peaks_avx2(kernels);
  if (f.avx512) cpu::fill_peaks_avx512(kernels, f.avx512_bf16, f.avx512_vnni);
#endif
  return kernels;
}

double read_gb_s(ThreadPool& pool, const cpu::PeakKernels& kernels, std::atomic<double>& sink) {
  const std::unique_ptr<uint8_t, Free> memory(static_cast<uint8_t*>(std::aligned_alloc(64, kReadBytes)));
  if (memory == nullptr) return 0;
  pool.parallel_for(kReadBytes, kWindowBytes, [&](int64_t begin, int64_t end, int) {
    std::memset(memory.get() + begin, 0, static_cast<size_t>(end - begin));
  });
  const int64_t share = kWindowBytes / pool.threads() / 1024 * 1024;
  const double t = best_time(pool, 0.3, [&](int64_t i, int run) {
    const uint8_t* window = memory.get() + run % (kReadBytes / kWindowBytes) * kWindowBytes;
    sink.store(static_cast<double>(kernels.read(window + i * share, share)));
  });
  return static_cast<double>(share * pool.threads()) / t / 1e9;
}

}  // namespace

CpuPeaks measure_peaks(int threads) {
  ThreadPool pool(threads > 0 ? threads : available_cores());
  const cpu::PeakKernels kernels = best_kernels();
  CpuPeaks peaks;
  peaks.threads = pool.threads();
  std::atomic<double> sink{0};
  peaks.f32_gflop_s = giga_a_second(pool, kernels.f32, sink);
  peaks.bf16_gflop_s = giga_a_second(pool, kernels.bf16, sink);
  peaks.int8_gop_s = giga_a_second(pool, kernels.int8, sink);
  peaks.read_gb_s = read_gb_s(pool, kernels, sink);
  return peaks;
}

double measure_read_gb_s(int threads) {
  ThreadPool pool(threads > 0 ? threads : available_cores());
  std::atomic<double> sink{0};
  return read_gb_s(pool, best_kernels(), sink);
}

}  // namespace qw
