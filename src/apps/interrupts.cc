#include "apps/interrupts.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "base/check.h"

namespace qw::apps {

Interrupts::Interrupts() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  QW_CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  signal_fd_ = ::signalfd(-1, &set, SFD_CLOEXEC);
  stop_fd_ = ::eventfd(0, EFD_CLOEXEC);
  QW_CHECK(signal_fd_ >= 0 && stop_fd_ >= 0);
  watcher_ = std::thread([this] { watch(); });
}

Interrupts::~Interrupts() {
  const uint64_t one = 1;
  QW_CHECK(::write(stop_fd_, &one, sizeof one) == sizeof one);
  watcher_.join();
  ::close(stop_fd_);
  ::close(signal_fd_);
}

void Interrupts::watch() {
  while (true) {
    std::array<pollfd, 2> fds{{{signal_fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[1].revents != 0) return;
    signalfd_siginfo info;
    if (::read(signal_fd_, &info, sizeof info) == sizeof info) interrupted();
  }
}

void Interrupts::interrupted() {
  const std::lock_guard lock(mutex_);
  if (!handler_) ::_exit(kExitInterrupted);
  handler_();
  if (!repeat_) handler_ = nullptr;
}

Interrupts::Scope::Scope(Interrupts& owner, std::function<void()> handler, bool repeat) : owner_(owner) {
  const std::lock_guard lock(owner_.mutex_);
  owner_.handler_ = std::move(handler);
  owner_.repeat_ = repeat;
}

Interrupts::Scope::~Scope() {
  const std::lock_guard lock(owner_.mutex_);
  owner_.handler_ = nullptr;
}

}  // namespace qw::apps
