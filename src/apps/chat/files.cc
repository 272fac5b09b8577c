#include "apps/chat/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace qw::chat {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;

tl::unexpected<Error> file_error(std::string_view code, const std::filesystem::path& file) {
  return fail(code, {{"file", file.string()}, {"reason", std::strerror(errno)}});
}

}  // namespace

Result<Descriptor> open_append(const std::filesystem::path& file) {
  std::error_code error;
  const std::filesystem::path folder = file.parent_path();
  if (!folder.empty() && std::filesystem::create_directories(folder, error))
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  Descriptor fd(::open(file.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.open()) return file_error("file.open", file);
  return fd;
}

Status append_line(const Descriptor& fd, std::string_view line, const std::filesystem::path& file) {
  std::string bytes;
  const off_t size = ::lseek(fd.get(), 0, SEEK_END);
  char last = '\n';
  if (size > 0 && ::pread(fd.get(), &last, 1, size - 1) == 1 && last != '\n') bytes.push_back('\n');
  bytes.append(line).push_back('\n');
  for (std::string_view rest = bytes; !rest.empty();) {
    const ssize_t n = ::write(fd.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return file_error("file.write", file);
    rest.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Status cut(const Descriptor& fd, size_t size, const std::filesystem::path& file) {
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return file_error("file.write", file);
  return {};
}

Result<std::string> read_all(const Descriptor& fd, const std::filesystem::path& file) {
  std::string out;
  char chunk[kReadBytes];
  while (true) {
    const ssize_t n = ::pread(fd.get(), chunk, sizeof chunk, static_cast<off_t>(out.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return file_error("file.open", file);
    if (n == 0) return out;
    out.append(chunk, static_cast<size_t>(n));
  }
}

bool lock(const Descriptor& fd, bool wait) {
  int status = 0;
  do {
    status = ::flock(fd.get(), wait ? LOCK_EX : LOCK_EX | LOCK_NB);
  } while (status != 0 && errno == EINTR);
  return status == 0;
}

}  // namespace qw::chat
