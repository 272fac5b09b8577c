// ThreadPool: a fixed set of workers for many short parallel loops (decode makes hundreds a token). Workers
// spin briefly after a loop and then sleep. Test: tests/base/thread_pool_test.cc
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace qw {

// Cores that this process may use: its affinity mask, counted in physical cores, and not above its cgroup's
// CPU quota. At least 1.
int available_cores();

// One caller at a time; the caller is thread 0 and works too. A loop never waits for a worker that has not
// taken part of it, so more threads than cores costs no stall.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // including the caller; at least 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls fn(begin, end, thread) for disjoint ranges that cover [0, n), each of at most `grain` items, in
  // any order on any thread; returns when all are done. Runs inline where one range holds everything. fn must
  // not throw and must not start another loop.
  template <class Fn>
  void parallel_for(int64_t n, int64_t grain, Fn&& fn) {
    if (n <= 0) return;
    if (workers_.empty() || n <= grain) {
      fn(int64_t{0}, n, 0);
      return;
    }
    using F = std::remove_reference_t<Fn>;
    run({[](void* context, int64_t begin, int64_t end, int thread) {
           (*static_cast<F*>(context))(begin, end, thread);
         },
         const_cast<void*>(static_cast<const void*>(&fn)), n, grain > 0 ? grain : 1});
  }
  // The same, cut in a few ranges a thread.
  template <class Fn>
  void parallel_for(int64_t n, Fn&& fn) {
    const int64_t parts = int64_t{4} * threads();
    parallel_for(n, workers_.empty() ? n : (n + parts - 1) / parts, fn);
  }

 private:
  struct Job {
    void (*call)(void*, int64_t, int64_t, int) = nullptr;
    void* context = nullptr;
    int64_t n = 0;
    int64_t grain = 1;
  };

  void run(const Job& job);
  void work(int thread);
  void take_ranges(int thread);

  // epoch << 32 | open << 31 | workers inside. A worker enters by compare-and-swap while the loop is open;
  // job_ is rewritten only while nobody is inside.
  alignas(64) std::atomic<uint64_t> state_{0};
  alignas(64) std::atomic<int> wake_{0};  // changes with every loop; workers sleep on it
  alignas(64) std::atomic<int64_t> next_{0};
  Job job_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

}  // namespace qw
