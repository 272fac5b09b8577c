// The terminal in raw mode: reading with timeouts, size, and the way back. A small process of its own, the
// keeper, waits for the end of this one and then restores the terminal's mode, so that neither a crash nor
// kill -9 leaves it without echo; no signal handler has to know anything.
// Test: tests/e2e/chat_test.cc (in a pseudo-terminal)
#pragma once

#include <sys/types.h>
#include <termios.h>

#include <memory>
#include <string>
#include <string_view>

#include "apps/chat/edit_view.h"
#include "apps/chat/files.h"
#include "base/result.h"

namespace qw::chat {

class Terminal {
 public:
  // stdin and stdout are terminals. Call it before large memory is taken: it forks, and pages that are
  // written afterwards would exist twice. The mode stays as it is until begin(). Errors: chat.terminal (args
  // reason).
  static Result<std::unique_ptr<Terminal>> open();
  ~Terminal();  // restores the mode and ends the keeper
  void begin();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  enum class Wake {
    input,  // read_input() has bytes
    other,  // the other descriptor is readable
    timeout,
    signal,  // the window changed, or the process goes on after a stop: draw anew
    closed,  // the terminal is gone
  };
  // Waits at most `timeout_ms` (-1: without end). Input comes first where both are ready.
  Wake wait(int timeout_ms, int other_fd = -1);
  std::string read_input();
  void write(std::string_view bytes);
  ScreenSize size() const;
  // ctrl-Z: the mode is restored while the process is stopped.
  void suspend();

 private:
  explicit Terminal(const termios& saved) : saved_(saved) {}
  Status start_keeper();
  void enter_raw();
  void leave_raw();

  termios saved_;
  termios raw_{};
  Descriptor keeper_pipe_;
  pid_t keeper_ = -1;
};

}  // namespace qw::chat
