#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>
#include <string>

namespace qw {
namespace {

constexpr uint64_t kOpen = uint64_t{1} << 31;
constexpr uint64_t kInside = kOpen - 1;
// Long enough to bridge the serial stretches between two kernels of one step, short enough to leave the core
// to others.
constexpr auto kSpin = std::chrono::microseconds(50);

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Spins until done() or for kSpin; says whether it is done.
template <class Done>
bool spin(Done done) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

// Quota of the cgroup (v2) in whole cores, rounded up; 0 where there is none.
int cgroup_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  const double cores = std::strtod(quota.c_str(), nullptr) / period;
  return cores > 0 ? static_cast<int>(cores + 0.999) : 0;
}

}  // namespace

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  std::set<std::string> cores;  // lists of sibling hyperthreads
  for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                       "/topology/thread_siblings_list");
    std::string siblings;
    if (!std::getline(file, siblings)) siblings = std::to_string(cpu);
    cores.insert(siblings);
  }
  int n = std::max<int>(1, static_cast<int>(cores.size()));
  if (const int quota = cgroup_cores(); quota > 0) n = std::min(n, quota);
  return n;
}

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  wake_.fetch_add(1);
  wake_.notify_all();
  for (std::thread& w : workers_) w.join();
}

void ThreadPool::run(const Job& job) {
  job_ = job;
  next_.store(0, std::memory_order_relaxed);
  const uint64_t epoch = (state_.load(std::memory_order_relaxed) >> 32) + 1;
  state_.store(epoch << 32 | kOpen, std::memory_order_release);
  wake_.fetch_add(1);
  wake_.notify_all();
  take_ranges(0);
  state_.fetch_and(~kOpen, std::memory_order_acq_rel);
  const auto empty = [&] { return (state_.load(std::memory_order_acquire) & kInside) == 0; };
  while (!spin(empty)) std::this_thread::yield();
}

void ThreadPool::take_ranges(int thread) {
  const Job job = job_;
  for (;;) {
    const int64_t begin = next_.fetch_add(job.grain, std::memory_order_relaxed);
    if (begin >= job.n) return;
    job.call(job.context, begin, std::min(begin + job.grain, job.n), thread);
  }
}

void ThreadPool::work(int thread) {
  uint64_t done_epoch = 0;
  for (;;) {
    const int seen = wake_.load();
    if (stop_.load()) return;
    uint64_t s = state_.load(std::memory_order_acquire);
    while ((s & kOpen) != 0 && s >> 32 != done_epoch) {
      if (!state_.compare_exchange_weak(s, s + 1, std::memory_order_acq_rel)) continue;
      done_epoch = s >> 32;
      take_ranges(thread);
      state_.fetch_sub(1, std::memory_order_release);
      break;
    }
    if (!spin([&] { return wake_.load(std::memory_order_relaxed) != seen; })) wake_.wait(seen);
  }
}

}  // namespace qw
