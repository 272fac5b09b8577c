#include "apps/progress.h"

#include <chrono>

namespace qw::apps {
namespace {

constexpr auto kPatience = std::chrono::seconds(1);
constexpr auto kInterval = std::chrono::milliseconds(250);

}  // namespace

Progress::Progress(Console& console, std::string label) : console_(console), label_(std::move(label)) {
  if (!console.quiet && console.err_is_terminal()) thread_ = std::thread([this] { draw_until_stopped(); });
}

Progress::~Progress() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Progress::draw_until_stopped() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  bool drawn = false;
  auto wait = std::chrono::milliseconds(kPatience);
  while (!wake_.wait_for(lock, wait, [this] { return stopped_; })) {
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start);
    const std::string count = total_ > 0 ? fmt::format(" {}/{}", done_.load(), total_.load()) : std::string();
    console_.write_err(fmt::format("\r\x1b[K{}{} ({} s)", label_, count, seconds.count()));
    drawn = true;
    wait = kInterval;
  }
  if (drawn) console_.write_err("\r\x1b[K");
}

}  // namespace qw::apps
