#include "apps/chat/history.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "apps/chat/files.h"
#include "base/json.h"

namespace qw::chat {
namespace {

constexpr size_t kMaxEntryBytes = 100'000;  // larger pastes stay in memory only
constexpr size_t kRewriteLines = 4 * kMaxHistory;

}  // namespace

Result<History> History::open(std::filesystem::path file) {
  History history;
  history.file_ = std::move(file);
  QW_TRY(const Descriptor fd, open_append(history.file_));
  lock(fd, true);
  QW_TRY(const std::string content, read_all(fd, history.file_));
  size_t n_lines = 0;
  for (size_t begin = 0; begin < content.size(); ++n_lines) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    const auto line = parse_json(std::string_view(content).substr(begin, end - begin), "");
    if (line && line->is_string()) history.remember(line->get<std::string>());
    begin = end + 1;
  }
  if (n_lines > kRewriteLines) QW_TRY(history.rewrite(fd.get()));
  return history;
}

// In place and under the lock: other chats hold no descriptor of their own between their appends.
Status History::rewrite(int fd) const {
  std::string content;
  for (const std::string& entry : entries_) content += to_json_line(Json(entry)) + "\n";
  content.pop_back();
  if (::ftruncate(fd, 0) != 0)
    return fail("file.write", {{"file", file_.string()}, {"reason", std::strerror(errno)}});
  QW_TRY(const Descriptor out, open_append(file_));
  return append_line(out, content, file_);
}

Status History::add(const std::string& entry) {
  if (entry.empty()) return {};
  remember(entry);
  if (file_.empty() || entry.size() > kMaxEntryBytes) return {};
  QW_TRY(const Descriptor fd, open_append(file_));
  lock(fd, true);
  return append_line(fd, to_json_line(Json(entry)), file_);
}

void History::remember(std::string entry) {
  const auto same = std::find(entries_.begin(), entries_.end(), entry);
  if (same != entries_.end()) entries_.erase(same);
  entries_.push_back(std::move(entry));
  if (entries_.size() > kMaxHistory) entries_.pop_front();
}

}  // namespace qw::chat
