#include "apps/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "apps/chat/graphemes.h"

namespace qw::apps {
namespace {

constexpr auto kPatience = std::chrono::seconds(1);
constexpr int64_t kBarCells = 24;
constexpr auto kInterval = std::chrono::milliseconds(250);

// "[####········]", or nothing.
std::string bar_text(int64_t done, int64_t total) {
  if (total <= 0) return {};
  const int64_t filled = static_cast<int64_t>(
      std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0) * kBarCells);
  std::string bar(static_cast<size_t>(filled), '#');
  for (int64_t i = filled; i < kBarCells; ++i) bar += "·";
  return fmt::format("[{}]", bar);
}

// Of the terminal that stderr is.
int terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// The parts with spaces between them, the first ones left out where a row has no place for them.
std::string fitted(const std::vector<std::string>& parts) {
  std::string out;
  const int columns = terminal_columns();
  for (size_t i = parts.size(); i-- > 0;) {
    if (parts[i].empty()) continue;
    if (!out.empty() && chat::text_cells(parts[i]) + 1 + chat::text_cells(out) >= columns) break;
    out = out.empty() ? parts[i] : parts[i] + " " + out;
  }
  return out;
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

std::string Progress::line(int64_t seconds) const {
  const int64_t done = done_, total = total_;
  std::string tail = text_;
  if (tail.empty() && total > 0) tail = fmt::format("{}/{} ({} s)", done, total, seconds);
  if (tail.empty()) return fmt::format("{} ({} s)", label_, seconds);
  return fitted({label_, bar_text(done, total), tail});
}

void Progress::draw_until_stopped() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  bool drawn = false;
  auto wait = std::chrono::milliseconds(kPatience);
  while (!wake_.wait_for(lock, wait, [this] { return stopped_; })) {
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start);
    console_.write_err("\r\x1b[K" + line(seconds.count()));
    drawn = true;
    wait = kInterval;
  }
  if (drawn) console_.write_err("\r\x1b[K");
}

}  // namespace qw::apps
