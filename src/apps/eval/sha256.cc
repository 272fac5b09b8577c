#include "apps/eval/sha256.h"

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "base/mmap.h"
#include "hub/hash.h"

namespace qw::eval {
namespace {

namespace fs = std::filesystem;

constexpr size_t kStepBytes = size_t{16} << 20;

std::vector<fs::path> model_files_in(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string ext = entry.path().extension().string(), name = entry.path().filename().string();
    if (ext == ".safetensors" || ext == ".json" || ext == ".jinja" || name == "merges.txt")
      out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<fs::path> files_of(const Checkpoint& checkpoint) {
  if (checkpoint.kind == CheckpointKind::gguf) {
    std::vector<fs::path> out{checkpoint.path};
    const std::string name = checkpoint.path.filename().string(), first = "-00001-of-";
    const size_t at = name.rfind(first);
    for (int part = 2; at != name.npos && part <= checkpoint.n_files; ++part) {
      std::string other = name;
      other.replace(at, first.size(), fmt::format("-{:05}-of-", part));
      out.push_back(checkpoint.path.parent_path() / other);
    }
    return out;
  }
  return model_files_in(checkpoint.path);
}

}  // namespace

std::string sha256_of(std::string_view bytes) {
  hub::ContentHash hash(hub::HashKind::sha256, static_cast<int64_t>(bytes.size()));
  hash.add(std::as_bytes(std::span(bytes)));
  return hash.finish();
}

Result<Json> sha256_of_model(const Checkpoint& checkpoint, const std::optional<std::string>& adapter,
                             const std::function<void(int64_t done, int64_t total)>& progress) {
  std::vector<std::pair<std::string, std::shared_ptr<const MappedFile>>> files;
  int64_t total = 0, done = 0;
  const auto open = [&](const std::string& prefix, const std::vector<fs::path>& paths) -> Status {
    for (const fs::path& path : paths) {
      QW_TRY(auto file, MappedFile::open(path));
      total += static_cast<int64_t>(file->bytes().size());
      files.emplace_back(prefix + path.filename().string(), std::move(file));
    }
    return {};
  };
  QW_TRY(open("", files_of(checkpoint)));
  if (adapter)
    QW_TRY(open("adapter/",
                fs::is_directory(*adapter) ? model_files_in(*adapter) : std::vector<fs::path>{*adapter}));
  Json out = Json::object();
  for (const auto& [name, file] : files) {
    hub::ContentHash hash(hub::HashKind::sha256, static_cast<int64_t>(file->bytes().size()));
    for (auto rest = file->bytes(); !rest.empty();) {
      const size_t n = std::min(rest.size(), kStepBytes);
      hash.add(rest.first(n));
      rest = rest.subspan(n);
      done += static_cast<int64_t>(n);
      progress(done, total);
    }
    out[name] = hash.finish();
  }
  return out;
}

}  // namespace qw::eval
