#include "hub/place_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/descriptor.h"

namespace qw::hub {
namespace {

namespace fs = std::filesystem;

constexpr size_t kCopyBytes = size_t{64} << 20;

tl::unexpected<Error> write_error(const fs::path& path) {
  const bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
  if (full) return fail("hub.disk_full", {{"file", path.string()}, {"reason", std::strerror(errno)}});
  return fail("file.write", {{"file", path.string()}, {"reason", std::strerror(errno)}});
}

// Everything of `in` to `out`, by the kernel where it can.
bool copy(int in, int out) {
  while (true) {
    ssize_t n = ::copy_file_range(in, nullptr, out, nullptr, kCopyBytes, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) continue;
    if (n == 0) return true;
    if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return false;
    char buffer[1 << 16];
    n = ::read(in, buffer, sizeof buffer);
    if (n == 0) return true;
    for (ssize_t at = 0; n > 0 && at < n;) {
      const ssize_t w = ::write(out, buffer + at, static_cast<size_t>(n - at));
      if (w < 0 && errno != EINTR) return false;
      if (w > 0) at += w;
    }
    if (n < 0 && errno != EINTR) return false;
  }
}

}  // namespace

Status place_file(const fs::path& from, const fs::path& to) {
  std::error_code ec;
  fs::create_directories(to.parent_path(), ec);
  fs::remove(to, ec);
  if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0) return {};
  const Descriptor in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in.open()) return fail("file.open", {{"file", from.string()}, {"reason", std::strerror(errno)}});
  const Descriptor out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!out.open()) return write_error(to);
  if (::ioctl(out.get(), FICLONE, in.get()) == 0) return {};
  if (copy(in.get(), out.get()) && ::fsync(out.get()) == 0) return {};
  const auto error = write_error(to);
  fs::remove(to, ec);
  return error;
}

}  // namespace qw::hub
