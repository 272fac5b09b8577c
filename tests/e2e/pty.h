// The real qw binary in a pseudo-terminal, for what only a terminal shows: keys in, screen bytes out.
#pragma once

#include <sys/types.h>
#include <termios.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace qw::e2e {

class PtyProgram {
 public:
  // `env` beside PATH, LANG and TERM=xterm. `program`: the qw that is run.
  PtyProgram(const std::vector<std::string>& args, const std::map<std::string, std::string>& env,
             const std::string& program = QW_PROGRAM);
  ~PtyProgram();  // kills what still runs
  PtyProgram(const PtyProgram&) = delete;
  PtyProgram& operator=(const PtyProgram&) = delete;

  void send(std::string_view bytes);
  // Waits until the output behind the last match holds `text` (escape sequences taken out); false after
  // `seconds`.
  bool expect(std::string_view text, double seconds = 60);
  // Everything shown so far, without escape sequences.
  std::string shown() const;
  void resize(int columns, int rows);
  void kill(int signal);
  // The exit status, 128 + n where signal n ended it; -1 after `seconds`.
  int wait(double seconds = 60);
  // Whether the terminal has the mode that it had before the program; waits for it.
  bool mode_restored(double seconds = 10);

 private:
  void read_some(int timeout_ms);

  int master_ = -1;
  pid_t child_ = -1;
  bool ended_ = false;
  termios before_{};
  std::string output_;
  size_t matched_ = 0;  // in shown()
};

}  // namespace qw::e2e
