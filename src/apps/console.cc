#include "apps/console.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/descriptor.h"
#include "base/mmap.h"

namespace qw::apps {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;

// 0 or errno.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return 0;
}

// Appends what one read gives; false at the end.
Result<bool> read_some(std::string& out, int fd = STDIN_FILENO) {
  std::array<char, kReadBytes> chunk;
  ssize_t n = 0;
  do {
    n = ::read(fd, chunk.data(), chunk.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0) return fail("input.read", {{"reason", std::strerror(errno)}});
  out.append(chunk.data(), static_cast<size_t>(n));
  return n > 0;
}

Result<std::string> read_all(int fd) {
  std::string out;
  while (true) {
    QW_TRY(const bool more, read_some(out, fd));
    if (!more) return out;
  }
}

}  // namespace

bool Console::err_is_terminal() const {
  return ::isatty(STDERR_FILENO) == 1;
}
bool Console::out_is_terminal() const {
  return ::isatty(STDOUT_FILENO) == 1;
}
bool Console::in_is_terminal() const {
  return ::isatty(STDIN_FILENO) == 1;
}

Status Console::write(std::string_view bytes) {
  if (const int error = write_all(STDOUT_FILENO, bytes); error != 0)
    return fail("output.write", {{"reason", std::strerror(error)}});
  return {};
}

void Console::write_err(std::string_view bytes) {
  (void)write_all(STDERR_FILENO, bytes);
}

void Console::error(const Error& error) {
  write_err("qw: " + message(lang, error) + "\n");
}

void Console::warn(const Error& warning) {
  if (!quiet) write_err(text("ui.warning", {{"text", message(lang, warning)}}) + "\n");
}

void Console::note(std::string_view line) {
  if (!quiet) write_err(std::string(line) + "\n");
}

Result<std::string> read_stdin() {
  return read_all(STDIN_FILENO);
}

Result<std::string> read_input(const std::string& file) {
  if (file == "-") return read_stdin();
  std::error_code error;
  const auto type = std::filesystem::status(file, error).type();
  if (type != std::filesystem::file_type::fifo && type != std::filesystem::file_type::character)
    return read_file(file);
  const Descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.open()) return fail("file.open", {{"file", file}, {"reason", std::strerror(errno)}});
  return read_all(fd.get());
}

Result<std::optional<std::string>> LineReader::next() {
  while (true) {
    if (const size_t end = buffer_.find('\n', begin_); end != buffer_.npos) {
      std::string line = buffer_.substr(begin_, end - begin_);
      begin_ = end + 1;
      return line;
    }
    if (ended_) {
      if (begin_ == buffer_.size()) return std::nullopt;
      std::string line = buffer_.substr(begin_);
      begin_ = buffer_.size();
      return line;
    }
    buffer_.erase(0, begin_);
    begin_ = 0;
    QW_TRY(const bool more, read_some(buffer_));
    ended_ = !more;
  }
}

}  // namespace qw::apps
