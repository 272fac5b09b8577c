#include "apps/chat/history.h"

#include <sys/stat.h>

#include <algorithm>

#include "apps/chat/files.h"
#include "base/json.h"
#include "base/mmap.h"

namespace qw::chat {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxEntryBytes = 100'000;  // larger pastes stay in memory only
constexpr size_t kRewriteLines = 4 * kMaxHistory;

// The file, held; another chat may have written it anew while this one waited.
Result<Descriptor> open_locked(const fs::path& file) {
  while (true) {
    QW_TRY(Descriptor fd, open_append(file));
    lock(fd, true);
    struct stat held {};
    struct stat there {};
    if (::fstat(fd.get(), &held) == 0 && ::stat(file.c_str(), &there) == 0 && held.st_ino == there.st_ino)
      return fd;
  }
}

}  // namespace

Result<History> History::open(std::filesystem::path file) {
  History history;
  history.file_ = std::move(file);
  QW_TRY(const Descriptor fd, open_locked(history.file_));
  QW_TRY(const std::string content, read_all(fd, history.file_));
  size_t n_lines = 0;
  for (size_t begin = 0; begin < content.size(); ++n_lines) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    const auto line = parse_json(std::string_view(content).substr(begin, end - begin), "");
    if (line && line->is_string()) history.remember(line->get<std::string>());
    begin = end + 1;
  }
  if (n_lines > kRewriteLines && !history.entries_.empty()) QW_TRY(history.rewrite());
  return history;
}

// Under the lock of the old file: open_locked() of the others then goes on to the new one.
Status History::rewrite() const {
  std::string content;
  for (const std::string& entry : entries_) content += to_json_line(Json(entry)) + "\n";
  return write_file_atomic(file_, content);
}

Status History::add(const std::string& entry) {
  if (entry.empty()) return {};
  remember(entry);
  if (file_.empty() || entry.size() > kMaxEntryBytes) return {};
  QW_TRY(const Descriptor fd, open_locked(file_));
  return append_line(fd, to_json_line(Json(entry)), file_);
}

void History::remember(std::string entry) {
  const auto same = std::find(entries_.begin(), entries_.end(), entry);
  if (same != entries_.end()) entries_.erase(same);
  entries_.push_back(std::move(entry));
  if (entries_.size() > kMaxHistory) entries_.pop_front();
}

}  // namespace qw::chat
