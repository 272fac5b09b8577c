#include "train/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/mmap.h"

namespace qw::train {

Result<RunLog> RunLog::open(const std::filesystem::path& file, int64_t done) {
  std::vector<Json> kept;
  std::string text;
  std::error_code ec;
  if (done > 0 && std::filesystem::exists(file, ec)) {
    QW_TRY(const std::string old, read_file(file, size_t{1} << 34));
    for (size_t at = 0; at < old.size();) {
      const size_t end = old.find('\n', at);
      if (end == std::string::npos) break;
      const std::string_view line = std::string_view(old).substr(at, end - at);
      at = end + 1;
      auto json = parse_json(line, file.string());
      if (!json || !json->is_object() || !json->contains("step") || !(*json)["step"].is_number_integer() ||
          (*json)["step"].get<int64_t>() > done)
        continue;
      kept.push_back(*std::move(json));
      text.append(line).append("\n");
    }
  }
  QW_TRY(write_file_atomic(file, text));
  Descriptor fd(::open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!fd.open()) return fail("file.open", {{"file", file.string()}, {"reason", std::strerror(errno)}});
  return RunLog(file, std::move(fd), std::move(kept));
}

Status RunLog::append(const Json& line) {
  const std::string text = to_json_line(line) + "\n";
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t n = ::write(fd_.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail("file.write", {{"file", file_.string()}, {"reason", std::strerror(errno)}});
    rest.remove_prefix(static_cast<size_t>(n));
  }
  lines_.push_back(line);
  return {};
}

}  // namespace qw::train
