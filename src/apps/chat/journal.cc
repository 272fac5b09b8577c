#include "apps/chat/journal.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <random>
#include <vector>

namespace qw::chat {
namespace {

constexpr int kVersion = 1;

// "" where it is absent: older journals name the model alone.
std::string member(const Json& record, const char* key) {
  const auto it = record.find(key);
  return it != record.end() && it->is_string() ? it->get<std::string>() : std::string();
}

bool is_header(const Json& record) {
  return record.is_object() && record.contains("t") && record.at("t") == "chat" &&
         record.contains("version") && record.at("version") == kVersion && record.contains("model") &&
         record.at("model").is_string();
}

std::string local_time(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  char out[40];
  return {out, std::strftime(out, sizeof out, format, &parts)};
}

// Newest first.
std::vector<std::filesystem::path> journals(const std::filesystem::path& folder) {
  std::vector<std::pair<std::filesystem::file_time_type, std::filesystem::path>> found;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != ".jsonl") continue;
    std::error_code ignored;
    found.emplace_back(it->last_write_time(ignored), it->path());
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<std::filesystem::path> out;
  for (auto& [time, path] : found) out.push_back(std::move(path));
  return out;
}

}  // namespace

Result<Journal> Journal::create(const std::filesystem::path& folder, const Origin& origin) {
  std::random_device random;
  const std::string name = fmt::format("{}-{:08x}.jsonl", local_time("%Y-%m-%dT%H-%M-%S"), random());
  QW_TRY(Descriptor fd, open_append(folder / name));
  Journal journal(folder / name, std::move(fd));
  lock(journal.fd_, false);
  journal.origin_ = origin;
  QW_TRY(journal.append({{"t", "chat"},
                         {"version", kVersion},
                         {"model", origin.model},
                         {"adapter", origin.adapter},
                         {"template", origin.template_file},
                         {"created", local_time("%Y-%m-%dT%H:%M:%S")}}));
  return journal;
}

Result<std::optional<Journal>> Journal::open_last(const std::filesystem::path& folder,
                                                  Conversation& conversation) {
  for (const std::filesystem::path& file : journals(folder)) {
    Conversation found;
    Result<Journal> journal = open(file, found);
    if (!journal && journal.error().code() == "chat.in_use") continue;
    if (!journal) return tl::unexpected<Error>(std::move(journal).error());
    if (found.empty()) continue;
    conversation = std::move(found);
    return std::optional<Journal>(*std::move(journal));
  }
  return std::optional<Journal>();
}

Result<Journal> Journal::open(const std::filesystem::path& file, Conversation& conversation) {
  if (std::error_code error; !std::filesystem::exists(file, error))
    return fail("file.open", {{"file", file.string()}, {"reason", std::strerror(ENOENT)}});
  QW_TRY(Descriptor fd, open_append(file));
  Journal journal(file, std::move(fd));
  if (!lock(journal.fd_, false)) return fail("chat.in_use", {{"file", file.string()}});
  QW_TRY(journal.replay(conversation));
  return journal;
}

Status Journal::replay(Conversation& conversation) {
  QW_TRY(const std::string content, read_all(fd_, file_));
  const auto wrong = [&](size_t line) {
    return fail("chat.bad_journal", {{"file", file_.string()}, {"line", line}});
  };
  size_t line = 0;
  bool headed = false;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    const auto record = parse_json(std::string_view(content).substr(begin, end - begin), file_.string());
    begin = end + 1;
    ++line;
    if (!record) continue;  // torn by a crash
    if (headed) {
      if (!conversation.apply(*record)) return wrong(line);
      continue;
    }
    if (!is_header(*record)) return wrong(line);
    origin_ = {member(*record, "model"), member(*record, "adapter"), member(*record, "template")};
    headed = true;
  }
  if (conversation.answering()) {
    const Json end = {{"t", "end"}, {"reason", "interrupted"}};
    QW_TRY(conversation.apply(end));
    QW_TRY(append(end));
  }
  return {};
}

Status Journal::append(const Json& record) {
  return append_line(fd_, to_json_line(record), file_);
}

void Journal::sync() {
  ::fdatasync(fd_.get());
}

}  // namespace qw::chat
