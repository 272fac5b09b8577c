#include "base/atomic_file.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"

namespace qw {

namespace fs = std::filesystem;

namespace {

// Behind a name: ours alone, where ".XXXXXX" would fit a user's ".backup" or ".sha256", too.
constexpr std::string_view kUnfinished = ".qw-", kRandom = "XXXXXX";

}  // namespace

Result<AtomicFile> AtomicFile::create(const fs::path& path) {
  std::string temp = unfinished_name(path);
  const int fd = ::mkstemp(temp.data());
  AtomicFile file(path, std::move(temp), fd);
  if (fd < 0) return file.error();
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)), temp_(std::move(other.temp_)), fd_(std::exchange(other.fd_, -1)) {}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temp_.c_str());
}

tl::unexpected<Error> AtomicFile::error() const {
  return fail("file.write", {{"file", path_.string()}, {"reason", std::strerror(errno)}});
}

Status AtomicFile::write(int64_t offset, std::span<const std::byte> bytes) const {
  QW_CHECK(fd_ >= 0);
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return error();
    offset += n;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Status AtomicFile::commit() {
  QW_CHECK(fd_ >= 0);
  struct stat old {};  // what is only its owner's stays so
  const bool replaces = ::stat(path_.c_str(), &old) == 0;
  if (::fchmod(fd_, replaces ? old.st_mode & 0777 : allowed_mode(0666)) != 0 || ::fsync(fd_) != 0 ||
      ::rename(temp_.c_str(), path_.c_str()) != 0)
    return error();
  ::close(fd_);
  fd_ = -1;
  return {};
}

std::string unfinished_name(const fs::path& path) {
  return path.string().append(kUnfinished).append(kRandom);
}

void remove_unfinished(const fs::path& path) {
  const std::string begin = path.filename().string().append(kUnfinished);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::vector<fs::path> found;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(begin) && name.size() == begin.size() + kRandom.size())
      found.push_back(entry.path());
  }
  for (const fs::path& old : found) fs::remove_all(old, ec);
}

unsigned allowed_mode(unsigned mode) {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return mode & ~mask;
}

Status check_free_space(const fs::path& path, int64_t bytes) {
  std::error_code ec;
  fs::path there = fs::absolute(path, ec);
  while (!fs::exists(there, ec) && there.has_relative_path()) there = there.parent_path();
  const fs::space_info space = fs::space(there, ec);
  if (ec || space.available >= static_cast<uint64_t>(bytes)) return {};  // unknown: writing will say
  return fail("file.no_space", {{"file", path.string()}, {"needed", bytes}, {"free", space.available}});
}

}  // namespace qw
