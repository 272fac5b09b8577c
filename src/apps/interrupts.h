// Ctrl-C. SIGINT is blocked in every thread and read by one of ours, so handlers are ordinary code and no
// global state is needed. Without a handler the process ends at once with status 130; so it does at the
// second ctrl-C while a handler is set. Test: tests/e2e/run_test.cc
#pragma once

#include <functional>
#include <mutex>
#include <thread>

namespace qw::apps {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

class Interrupts {
 public:
  // Made by main before any other thread exists.
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // While the Scope lives, ctrl-C calls `handler` on the watching thread instead of ending the process.
  // `repeat`: every time; else the second ctrl-C ends the process. Scopes do not nest.
  class Scope {
   public:
    Scope(Interrupts& owner, std::function<void()> handler, bool repeat = false);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Interrupts& owner_;
  };

 private:
  void watch();
  void interrupted();

  std::mutex mutex_;
  std::function<void()> handler_;  // guarded by mutex_
  bool repeat_ = false;            // guarded by mutex_
  int signal_fd_ = -1;
  int stop_fd_ = -1;
  std::thread watcher_;
};

}  // namespace qw::apps
