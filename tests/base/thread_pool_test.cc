#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace qw {
namespace {

TEST(ThreadPool, EveryItemOnceWhateverTheGrain) {
  for (const int threads : {1, 2, 3, 9}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int64_t n : {0, 1, 2, 7, 1000})
      for (const int64_t grain : {1, 3, 1000, 2000}) {
        std::vector<int> seen(static_cast<size_t>(n));
        pool.parallel_for(n, grain, [&](int64_t begin, int64_t end, int thread) {
          ASSERT_LT(thread, threads);
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        for (const int s : seen) ASSERT_EQ(s, 1);
      }
  }
}

// Many tiny loops with pauses around the spin time, and more threads than cores: neither hangs nor mixes the
// ranges of two loops.
TEST(ThreadPool, ManyLoopsAsleepAndAwake) {
  ThreadPool pool(available_cores() + 3);
  std::vector<int64_t> value(64);
  for (int round = 0; round < 3000; ++round) {
    pool.parallel_for(64, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) value[static_cast<size_t>(i)] += round;
    });
    if (round % 500 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  for (const int64_t v : value) ASSERT_EQ(v, 2999 * 3000 / 2);
}

TEST(ThreadPool, ThereIsACore) {
  EXPECT_GE(available_cores(), 1);
}

}  // namespace
}  // namespace qw
