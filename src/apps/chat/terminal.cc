#include "apps/chat/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace qw::chat {
namespace {

constexpr std::string_view kEnter = "\x1b[?2004h";                  // bracketed paste
constexpr std::string_view kLeave = "\x1b[?2004l\x1b[?25h\x1b[0m";  // and cursor, colours
constexpr size_t kReadBytes = size_t{64} << 10;

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

bool same_mode(const termios& a, const termios& b) {
  return a.c_lflag == b.c_lflag && a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag;
}

// The keeper: restores the mode when the pipe ends without a word, which is when the parent died. Only where
// the mode is still ours: the shell may have been faster. Calls only what is allowed between fork and exec in
// a process with threads.
[[noreturn]] void keep(int pipe, const termios& saved, const termios& raw) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTOU, SIGTTIN, SIGPIPE})
    ::signal(signal, SIG_IGN);
  // Standard streams stay (the terminal); everything else, such as locked journals, must not live on here.
  constexpr int kPipe = STDERR_FILENO + 1;
  if (pipe != kPipe) ::dup2(pipe, kPipe);
  ::close_range(kPipe + 1, ~0U, 0);
  char word = 0;
  ssize_t n = 0;
  do {
    n = ::read(kPipe, &word, 1);
  } while (n < 0 && errno == EINTR);
  termios now{};
  if (n == 0 && ::tcgetattr(STDIN_FILENO, &now) == 0 && same_mode(now, raw)) {
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
    write_all(STDOUT_FILENO, kLeave);
    write_all(STDOUT_FILENO, "\r\n");
  }
  ::_exit(0);
}

// Ends a poll() when the window changes or the process goes on after a stop; the loop looks at the size
// anyway.
void wake_up(int /*signal*/) {}

void install_wakers() {
  struct sigaction action = {};
  action.sa_handler = wake_up;  // without SA_RESTART
  ::sigaction(SIGWINCH, &action, nullptr);
  ::sigaction(SIGCONT, &action, nullptr);
}

}  // namespace

Result<std::unique_ptr<Terminal>> Terminal::open() {
  termios saved{};
  if (::tcgetattr(STDIN_FILENO, &saved) != 0)
    return fail("chat.terminal", {{"reason", std::strerror(errno)}});
  std::unique_ptr<Terminal> terminal(new Terminal(saved));
  terminal->raw_ = saved;
  // Output processing stays on, so "\n" begins a new line. Without ISIG ctrl-C is a byte.
  terminal->raw_.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG | IEXTEN);
  terminal->raw_.c_iflag &= ~static_cast<tcflag_t>(IXON | ICRNL | INLCR | IGNCR | ISTRIP | BRKINT);
  terminal->raw_.c_cc[VMIN] = 1;
  terminal->raw_.c_cc[VTIME] = 0;
  QW_TRY(terminal->start_keeper());
  return terminal;
}

void Terminal::begin() {
  install_wakers();
  enter_raw();
}

Terminal::~Terminal() {
  termios now{};
  if (::tcgetattr(STDIN_FILENO, &now) == 0 && same_mode(now, raw_)) leave_raw();
  if (keeper_ < 0) return;
  write_all(keeper_pipe_.get(), "x");
  while (::waitpid(keeper_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Status Terminal::start_keeper() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail("chat.terminal", {{"reason", std::strerror(errno)}});
  keeper_pipe_ = Descriptor(ends[1]);
  const Descriptor read_end(ends[0]);
  keeper_ = ::fork();
  if (keeper_ < 0) return fail("chat.terminal", {{"reason", std::strerror(errno)}});
  if (keeper_ == 0) keep(ends[0], saved_, raw_);
  return {};
}

void Terminal::enter_raw() {
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw_);
  write(kEnter);
}

void Terminal::leave_raw() {
  write(kLeave);
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
}

Terminal::Wake Terminal::wait(int timeout_ms, int other_fd) {
  std::array<pollfd, 2> fds = {{{STDIN_FILENO, POLLIN, 0}, {other_fd, POLLIN, 0}}};
  const int n = ::poll(fds.data(), other_fd < 0 ? 1 : 2, timeout_ms);
  if (n < 0) {
    // After a stop and SIGCONT the shell may have set a mode of its own.
    termios now{};
    if (::tcgetattr(STDIN_FILENO, &now) != 0) return Wake::closed;
    if (!same_mode(now, raw_)) enter_raw();
    return Wake::signal;
  }
  if (n == 0) return Wake::timeout;
  if ((fds[0].revents & POLLIN) != 0) {
    int pending = 0;
    return ::ioctl(STDIN_FILENO, FIONREAD, &pending) == 0 && pending > 0 ? Wake::input : Wake::closed;
  }
  if (fds[0].revents != 0) return Wake::closed;
  return Wake::other;
}

std::string Terminal::read_input() {
  std::string bytes(kReadBytes, '\0');
  const ssize_t n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
  bytes.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return bytes;
}

void Terminal::write(std::string_view bytes) {
  write_all(STDOUT_FILENO, bytes);
}

ScreenSize Terminal::size() const {
  winsize w{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col == 0 || w.ws_row == 0) return {};
  return {.columns = w.ws_col, .rows = w.ws_row};
}

void Terminal::suspend() {
  leave_raw();
  ::kill(0, SIGTSTP);  // the whole job, as the terminal's own ctrl-Z would
  enter_raw();
}

}  // namespace qw::chat
