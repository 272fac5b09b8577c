#include "io/staged_folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/descriptor.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> write_error(const fs::path& path, int error) {
  return fail("file.write", {{"file", path.string()}, {"reason", std::strerror(error)}});
}

// Files and folders alike.
Status flush(const fs::path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.open() || ::fsync(fd.get()) != 0) return write_error(path, errno);
  return {};
}

// What lies below a folder, in order: a folder before what is in it.
Result<std::vector<fs::path>> list(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code ec;
  for (fs::recursive_directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec))
    out.push_back(it->path());
  if (ec) return write_error(folder, ec.value());
  std::sort(out.begin(), out.end());
  return out;
}

// "out/" has an empty file name: the folder meant is its parent.
fs::path without_slash(const fs::path& target) {
  return target.has_filename() ? target : target.parent_path();
}

fs::path hidden(const fs::path& target) {
  return target.parent_path() / ("." + target.filename().string());
}

Status move(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return write_error(to, errno);
  return {};
}

}  // namespace

void StagedFolder::remove_unfinished(const fs::path& target) {
  qw::remove_unfinished(hidden(without_slash(target)));
}

Result<StagedFolder> StagedFolder::create(const fs::path& target) {
  const fs::path clean = without_slash(target);
  const fs::path parent = clean.has_parent_path() ? clean.parent_path() : fs::path(".");
  std::error_code ec;
  fs::create_directories(parent, ec);
  if (ec) return write_error(parent, ec.value());
  std::string temp = unfinished_name(hidden(clean));
  if (::mkdtemp(temp.data()) == nullptr) return write_error(clean, errno);
  StagedFolder staged(clean, temp);
  if (::chmod(temp.c_str(), allowed_mode(0777)) != 0) return write_error(clean, errno);
  return staged;
}

StagedFolder::StagedFolder(StagedFolder&& other) noexcept
    : target_(std::move(other.target_)), temp_(std::exchange(other.temp_, {})) {}

StagedFolder::~StagedFolder() {
  std::error_code ec;
  if (!temp_.empty()) fs::remove_all(temp_, ec);
}

Status StagedFolder::commit(std::string_view last) {
  QW_TRY(std::vector<fs::path> files, list(temp_));
  for (const fs::path& file : files) QW_TRY(flush(file));
  QW_TRY(flush(temp_));
  std::error_code ec;
  if (fs::is_directory(target_, ec)) {
    std::stable_partition(files.begin(), files.end(), [&](const fs::path& f) { return f != temp_ / last; });
    std::vector<fs::path> folders{target_};
    for (const fs::path& file : files) {
      const fs::path to = target_ / file.lexically_relative(temp_);
      if (!fs::is_directory(file, ec)) {
        QW_TRY(move(file, to));
        continue;
      }
      fs::create_directories(to, ec);  // the moves into it say what is wrong
      folders.push_back(to);
    }
    fs::remove_all(temp_, ec);
    temp_.clear();
    for (const fs::path& folder : folders) QW_TRY(flush(folder));
    return {};
  }
  QW_TRY(move(temp_, target_));
  temp_.clear();
  return flush(target_.has_parent_path() ? target_.parent_path() : fs::path("."));
}

}  // namespace qw
