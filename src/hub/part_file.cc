#include "hub/part_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>

#include "base/mmap.h"
#include "base/rng.h"

namespace qw::hub {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxJournalBytes = size_t{1} << 20;

}  // namespace

std::string PartFile::stem(const RemoteFile& file) {
  return fmt::format("{:016x}", name_key(file.path));
}

Error PartFile::write_error() const {
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
    return Error("hub.disk_full", {{"file", part_.string()}, {"reason", std::strerror(errno)}});
  return Error("file.write", {{"file", part_.string()}, {"reason", std::strerror(errno)}});
}

Result<std::unique_ptr<PartFile>> PartFile::open(const fs::path& folder, const RemoteFile& file,
                                                 std::string_view version) {
  const std::string name = stem(file);
  std::string identity = fmt::format("qw-part 1 {} {}", file.size, file.hash.empty() ? version : file.hash);
  std::unique_ptr<PartFile> out(
      new PartFile(folder / (name + ".part"), folder / (name + ".ranges"), std::move(identity), file.size));
  out->fd_ = ::open(out->part_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (out->fd_ < 0) return tl::unexpected<Error>(out->write_error());
  out->read_journal();
  struct stat now = {};
  if (::fstat(out->fd_, &now) != 0) return tl::unexpected<Error>(out->write_error());
  // A journal that claims more than there is belongs to another file.
  const auto& ranges = out->done_.ranges();
  if (!ranges.empty() && ranges.rbegin()->second > now.st_size) out->done_.clear();
  if (out->done_.size() == 0 && ::ftruncate(out->fd_, 0) != 0)
    return tl::unexpected<Error>(out->write_error());
  if (file.size > 0 && ::fallocate(out->fd_, FALLOC_FL_KEEP_SIZE, 0, file.size) != 0 &&
      (errno == ENOSPC || errno == EDQUOT))
    return tl::unexpected<Error>(out->write_error());
  return out;
}

PartFile::~PartFile() {
  if (fd_ >= 0) ::close(fd_);
}

// Lines "begin end", ascending; what does not fit is passed over, since it is only fetched again.
void PartFile::read_journal() {
  const Result<std::string> text = read_file(journal_, kMaxJournalBytes);
  if (!text) return;
  std::istringstream lines(*text);
  std::string line;
  if (!std::getline(lines, line) || line != identity_) return;
  for (ByteRange r; lines >> r.begin >> r.end;)
    if (r.begin >= 0 && r.begin < r.end && r.end <= size_) done_.add(r);
}

Status PartFile::write(int64_t at, std::span<const std::byte> bytes) {
  const ByteRange whole{at, at + static_cast<int64_t>(bytes.size())};
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return tl::unexpected<Error>(write_error());
    at += n;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  const std::lock_guard lock(mutex_);
  done_.add(whole);
  changed_ = true;
  return {};
}

Status PartFile::read(int64_t at, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_, out.data(), out.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      return fail("file.open", {{"file", part_.string()}, {"reason", std::strerror(n < 0 ? errno : EIO)}});
    at += n;
    out = out.subspan(static_cast<size_t>(n));
  }
  return {};
}

Status PartFile::sync() {
  const std::lock_guard one(sync_mutex_);
  std::string text = identity_ + "\n";
  {
    const std::lock_guard lock(mutex_);
    if (!changed_) return {};
    changed_ = false;
    for (const auto& [begin, end] : done_.ranges()) text += fmt::format("{} {}\n", begin, end);
  }
  if (::fdatasync(fd_) != 0) return tl::unexpected<Error>(write_error());
  return write_file_atomic(journal_, text);
}

Status PartFile::reset() {
  const std::lock_guard one(sync_mutex_);
  const std::lock_guard lock(mutex_);
  done_.clear();
  changed_ = false;
  ++generation_;
  std::error_code ec;
  fs::remove(journal_, ec);
  return {};
}

Status PartFile::finish(const fs::path& target) {
  const std::lock_guard one(sync_mutex_);
  // The reservation may reach beyond the end of a file that is shorter on disk than its blocks.
  if (::ftruncate(fd_, size_) != 0 || ::fsync(fd_) != 0) return tl::unexpected<Error>(write_error());
  std::error_code ec;
  fs::create_directories(target.parent_path(), ec);
  if (::rename(part_.c_str(), target.c_str()) != 0) return tl::unexpected<Error>(write_error());
  fs::remove(journal_, ec);
  const std::lock_guard lock(mutex_);
  changed_ = false;
  return {};
}

RangeSet PartFile::done() const {
  const std::lock_guard lock(mutex_);
  return done_;
}

int64_t PartFile::done_bytes() const {
  const std::lock_guard lock(mutex_);
  return done_.size();
}

PartFile::Prefix PartFile::prefix() const {
  const std::lock_guard lock(mutex_);
  return {done_.prefix(), generation_};
}

}  // namespace qw::hub
