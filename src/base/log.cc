#include "base/log.h"

#include <unistd.h>

#include <string>
#include <utility>

namespace qw {
namespace {

LogSink& sink() {
  static LogSink s;
  return s;
}

}  // namespace

void set_log_sink(LogSink s) {
  sink() = std::move(s);
}

void log(LogLevel level, std::string_view line) {
  if (sink()) {
    sink()(level, line);
  } else if (level == LogLevel::fatal) {
    const std::string text = std::string(line) + "\n";
    [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
  }
}

}  // namespace qw
