#include "apps/progress.h"

#include <algorithm>
#include <chrono>

namespace qw::apps {
namespace {

constexpr auto kPatience = std::chrono::seconds(1);
constexpr int64_t kBarCells = 24;
constexpr auto kInterval = std::chrono::milliseconds(250);

// " [####········] 3/14", or nothing.
std::string count_text(int64_t done, int64_t total) {
  if (total <= 0) return {};
  const int64_t filled = std::clamp<int64_t>(done * kBarCells / total, 0, kBarCells);
  std::string bar(static_cast<size_t>(filled), '#');
  for (int64_t i = filled; i < kBarCells; ++i) bar += "·";
  return fmt::format(" [{}] {}/{}", bar, done, total);
}

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
    console_.write_err(
        fmt::format("\r\x1b[K{}{} ({} s)", label_, count_text(done_, total_), seconds.count()));
    drawn = true;
    wait = kInterval;
  }
  if (drawn) console_.write_err("\r\x1b[K");
}

}  // namespace qw::apps
