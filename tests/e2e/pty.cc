#include "tests/e2e/pty.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#include <array>
#include <chrono>
#include <csignal>

#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

using Clock = std::chrono::steady_clock;

Clock::time_point after(double seconds) {
  return Clock::now() + std::chrono::microseconds(static_cast<int64_t>(seconds * 1e6));
}

// Without "\x1b[…m" and the like.
std::string plain(std::string_view bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != '\x1b') {
      out += bytes[i];
      continue;
    }
    i += 2;
    while (i < bytes.size() && bytes[i] >= 0x20 && bytes[i] <= 0x3F) ++i;
  }
  return out;
}

}  // namespace

PtyProgram::PtyProgram(const std::vector<std::string>& args, const std::map<std::string, std::string>& env,
                       const std::string& program) {
  std::vector<std::string> words{program};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<std::string> variables{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TERM=xterm"};
  const std::vector<std::string> more = assignments(env);
  variables.insert(variables.end(), more.begin(), more.end());
  const std::vector<char*> argv = pointers(words), envp = pointers(variables);
  winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  int slave = -1;
  EXPECT_EQ(::openpty(&master_, &slave, nullptr, nullptr, &size), 0);
  ::tcgetattr(slave, &before_);
  child_ = ::fork();
  if (child_ == 0) {
    ::close(master_);
    ::login_tty(slave);
    ::execve(program.c_str(), argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(slave);
}

PtyProgram::~PtyProgram() {
  if (!ended_) {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  ::close(master_);
}

void PtyProgram::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(master_, bytes.data(), bytes.size());
    ASSERT_GT(n, 0);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

bool PtyProgram::expect(std::string_view text, double seconds) {
  const auto until = after(seconds);
  while (true) {
    const std::string all = shown();
    if (const size_t at = all.find(text, matched_); at != all.npos) {
      matched_ = at + text.size();
      return true;
    }
    if (Clock::now() > until) return false;
    read_some(50);
  }
}

std::string PtyProgram::shown() const {
  return plain(output_);
}

void PtyProgram::resize(int columns, int rows) {
  winsize size{};
  size.ws_col = static_cast<unsigned short>(columns);
  size.ws_row = static_cast<unsigned short>(rows);
  ::ioctl(master_, TIOCSWINSZ, &size);
}

void PtyProgram::kill(int signal) {
  ::kill(child_, signal);
}

int PtyProgram::wait(double seconds) {
  const auto until = after(seconds);
  while (Clock::now() < until) {
    int status = 0;
    read_some(20);  // a full terminal would hold the program up
    if (::waitpid(child_, &status, WNOHANG) != child_) continue;
    ended_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return -1;
}

bool PtyProgram::mode_restored(double seconds) {
  const auto until = after(seconds);
  while (Clock::now() < until) {
    termios now{};
    if (::tcgetattr(master_, &now) == 0 && now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag)
      return true;
    read_some(20);
  }
  return false;
}

void PtyProgram::read_some(int timeout_ms) {
  pollfd p{master_, POLLIN, 0};
  if (::poll(&p, 1, timeout_ms) <= 0) return;
  std::array<char, 65536> chunk;
  const ssize_t n = ::read(master_, chunk.data(), chunk.size());
  if (n > 0)
    output_.append(chunk.data(), static_cast<size_t>(n));
  else
    ::usleep(static_cast<useconds_t>(timeout_ms) * 1000);  // the other side is closed
}

}  // namespace qw::e2e
