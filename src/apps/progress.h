// A line on stderr that says what is going on, for anything over a second, on a terminal alone. Redrawn by a
// thread of its own, so that a long step without reports still shows its seconds. Test: by eye; tests/e2e
// hold that nothing appears in a pipe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "apps/console.h"

namespace qw::apps {

class Progress {
 public:
  // `label` begins the line. Nothing is shown with --quiet or where stderr is no terminal.
  Progress(Console& console, std::string label);
  ~Progress();  // takes the line away
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // "label [####········] 3/14"; a total of 0 shows the seconds alone.
  void set(int64_t done, int64_t total) {
    done_ = done;
    total_ = total;
  }
  // The same with `text` in place of "3/14" and of the seconds.
  void set(int64_t done, int64_t total, std::string text) {
    set(done, total);
    const std::lock_guard lock(mutex_);
    text_ = std::move(text);
  }

 private:
  void draw_until_stopped();
  std::string line(int64_t seconds) const;  // with mutex_ held

  Console& console_;
  std::string label_;
  std::atomic<int64_t> done_{0}, total_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;  // guarded by mutex_
  std::string text_;      // guarded by mutex_
  std::thread thread_;    // none where nothing is shown
};

}  // namespace qw::apps
