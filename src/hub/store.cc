#include "hub/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/mmap.h"
#include "base/rng.h"
#include "hub/select.h"
#include "hub/url.h"

namespace qw::hub {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxDepth = 5;
constexpr size_t kReadable = 100;  // bytes of a key that are seen in a lock's name
constexpr const char* kUsed = ".qw.used";
constexpr std::array kSources{Source::huggingface, Source::modelscope, Source::ollama, Source::url,
                              Source::disk};

tl::unexpected<Error> write_error(const fs::path& path, int error) {
  return fail("file.write", {{"file", path.string()}, {"reason", std::strerror(error)}});
}

std::string lower(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

bool is_source_folder(std::string_view name) {
  return std::any_of(kSources.begin(), kSources.end(), [&](Source s) { return source_name(s) == name; });
}

// A key as one file name.
std::string flat(std::string_view key) {
  std::string readable(key.substr(0, kReadable));
  std::replace(readable.begin(), readable.end(), '/', '~');
  return fmt::format("{}.{:016x}", readable, name_key(key));
}

int64_t bytes_below(const fs::path& path) {
  std::error_code ec;
  if (fs::is_regular_file(path, ec)) return static_cast<int64_t>(fs::file_size(path, ec));
  int64_t n = 0;
  for (fs::recursive_directory_iterator it(path, ec), end; !ec && it != end; it.increment(ec)) {
    std::error_code one;
    if (it->is_regular_file(one)) n += static_cast<int64_t>(it->file_size(one));
  }
  return n;
}

// Bytes on disk: a part that is under way has holes.
int64_t allocated_below(const fs::path& path) {
  int64_t n = 0;
  std::error_code ec;
  for (fs::recursive_directory_iterator it(path, ec), end; !ec && it != end; it.increment(ec)) {
    struct stat st = {};
    if (::lstat(it->path().c_str(), &st) == 0 && S_ISREG(st.st_mode)) n += int64_t{512} * st.st_blocks;
  }
  return n;
}

std::time_t used_at(const fs::path& folder) {
  struct stat st = {};
  return ::stat((folder / kUsed).c_str(), &st) == 0 ? st.st_mtime : 0;
}

// A name in its parts: "modelscope:Qwen/Q@v1" is "modelscope:", "Qwen/Q" and the rest.
struct StoredName {
  std::string_view source, repository;
};
StoredName split_name(std::string_view name) {
  StoredName out;
  for (const std::string_view source : {"hf:", "modelscope:", "ollama:"})
    if (name.starts_with(source)) out.source = source;
  out.repository = name.substr(out.source.size());
  out.repository = out.repository.substr(0, out.repository.find_first_of("@:"));
  return out;
}

void flush(const fs::path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.open()) ::fsync(fd.get());
}

}  // namespace

FileLock FileLock::try_lock(const fs::path& file, bool exclusive) {
  FileLock out;
  out.file_ = file;
  std::error_code ec;
  fs::create_directories(file.parent_path(), ec);
  out.errno_ = ec.value();
  if (ec) return out;
  Descriptor fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (fd.open() && ::flock(fd.get(), (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
    out.fd_ = std::move(fd);
  else
    out.errno_ = errno;
  return out;
}

bool FileLock::busy() const {
  return !held() && errno_ == EWOULDBLOCK;
}

Error FileLock::error(std::string_view name) const {
  if (busy()) return Error("hub.in_use", {{"name", name}});
  return write_error(file_, errno_).value();
}

fs::path StoredModel::model_path() const {
  return record && !record->model_file.empty() ? folder / record->model_file : folder;
}

std::string StoredModel::name() const {
  return record ? record->name : key;
}

std::string Store::key_of(const ModelName& name, std::string_view variant) {
  std::string out(source_name(name.source));
  const uint64_t place = name_key(name.place) & 0xFFFFFFFF;
  if (name.source == Source::disk) return fmt::format("{}/{}.{:08x}", out, name.repo, place);
  if (name.source == Source::url) return fmt::format("{}/{}/{}.{:08x}", out, name.org, name.repo, place);
  const std::string_view usual = name.source == Source::modelscope ? "master" : "main";
  const std::string revision = name.revision.empty() ? std::string(usual) : percent_encode(name.revision);
  out += fmt::format("/{}/{}/{}", name.org.empty() ? "-" : name.org, name.repo, revision);
  if (!variant.empty()) out += fmt::format("+{}", percent_encode(variant));
  return out;
}

fs::path Store::staging(std::string_view key) const {
  return models_ / ".partial" / flat(key);
}

fs::path Store::lock_file(std::string_view key, std::string_view kind) const {
  return models_ / ".locks" / fmt::format("{}.{}", flat(key), kind);
}

FileLock Store::lock_pull(std::string_view key) const {
  return FileLock::try_lock(lock_file(key, "pull"), true);
}

FileLock Store::lock_use(std::string_view key, bool exclusive) const {
  return FileLock::try_lock(lock_file(key, "use"), exclusive);
}

std::optional<StoredModel> Store::find(std::string_view key) const {
  StoredModel out{.key = std::string(key), .folder = folder(key)};
  Result<Record> record = read_record(out.folder);
  if (!record) return std::nullopt;
  out.bytes = record->total_bytes();
  out.record = *std::move(record);
  out.last_used = used_at(out.folder);
  return out;
}

void Store::scan(const fs::path& folder, int depth, std::vector<StoredModel>& out) const {
  const std::string key = folder.lexically_relative(models_).string();
  if (auto model = find(key)) {
    out.push_back(*std::move(model));
    return;
  }
  std::error_code ec, one;
  for (fs::directory_iterator it(folder, ec), end; depth < kMaxDepth && !ec && it != end; it.increment(ec))
    if (it->is_directory(one) && !it->is_symlink(one)) scan(it->path(), depth + 1, out);
}

std::vector<StoredModel> Store::list() const {
  std::vector<StoredModel> out;
  std::error_code ec, one;
  for (fs::directory_iterator it(models_, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with('.')) continue;
    if (is_source_folder(name) && it->is_directory(one))
      scan(it->path(), 1, out);
    else if (it->is_directory(one) || it->path().extension() == ".gguf")
      out.push_back({.key = name,
                     .folder = it->path(),
                     .record = {},
                     .bytes = bytes_below(it->path()),
                     .last_used = used_at(it->path())});
  }
  std::sort(out.begin(), out.end(),
            [](const StoredModel& a, const StoredModel& b) { return a.name() < b.name(); });
  return out;
}

std::vector<PartialModel> Store::partials() const {
  std::vector<PartialModel> out;
  std::error_code ec;
  for (fs::directory_iterator it(models_ / ".partial", ec), end; !ec && it != end; it.increment(ec)) {
    const Result<std::string> key = read_file(it->path() / "key", 4096);
    const Result<std::string> name = read_file(it->path() / "name", 4096);
    if (key && name && staging(*key) == it->path())
      out.push_back({.key = *key, .name = *name, .bytes = allocated_below(it->path())});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

std::vector<StoredModel> Store::matches(std::string_view text) const {
  const std::string wanted = lower(text);
  const Result<ModelName> parsed = parse_name(text);
  const std::string canonical = parsed ? lower(parsed->text()) : wanted;
  std::vector<StoredModel> exact, loose;
  for (StoredModel& model : list()) {
    const std::string name = lower(model.name());
    const StoredName parts = split_name(name);
    const std::string_view base = parts.repository;
    const bool named = base == wanted || base.substr(base.rfind('/') + 1) == wanted;
    const std::string full = std::string(parts.source).append(base);
    // Where several files have a quantisation, their names say more than was asked for.
    const std::string quant = model.record ? lower(quant_of(model.record->model_file)) : std::string();
    const std::string by_quant = quant.empty() ? full : fmt::format("{}:{}", full, quant);
    if (lower(model.key) == wanted || name == wanted || name == canonical)
      exact.push_back(std::move(model));
    else if (named || full == wanted || full == canonical || by_quant == wanted || by_quant == canonical)
      loose.push_back(std::move(model));
  }
  return exact.empty() ? loose : exact;
}

std::string Store::key_of_path(const fs::path& path) const {
  std::error_code ec;
  const fs::path full = fs::weakly_canonical(path, ec), root = fs::weakly_canonical(models_, ec);
  const fs::path below = full.lexically_relative(root);
  if (ec || below.empty() || below == "." || *below.begin() == "..") return {};
  for (fs::path at = below; !at.empty(); at = at.parent_path())
    if (fs::exists(root / at / ".qw.json", ec)) return at.string();
  return below.begin()->string();
}

void Store::touch(std::string_view key) const {
  const fs::path file = folder(key) / kUsed;
  std::error_code ec;
  if (!fs::is_directory(folder(key), ec)) return;
  const Descriptor fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (fd.open()) ::futimens(fd.get(), nullptr);
}

Status Store::publish(std::string_view key, const fs::path& finished) const {
  const fs::path target = folder(key);
  std::error_code ec;
  fs::create_directories(target.parent_path(), ec);
  if (ec) return write_error(target, ec.value());
  flush(finished);
  if (!fs::exists(target, ec)) {
    if (::rename(finished.c_str(), target.c_str()) != 0) return write_error(target, errno);
  } else {
    const FileLock use = lock_use(key, true);
    if (!use.held()) return tl::unexpected(use.error(key));
    const fs::path old = finished.parent_path() / "old";
    if (::renameat2(AT_FDCWD, finished.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0)
      fs::rename(finished, old, ec);
    // A file system that cannot exchange: two steps, between which the model is missing.
    else if (::rename(target.c_str(), old.c_str()) != 0 || ::rename(finished.c_str(), target.c_str()) != 0)
      return write_error(target, errno);
    fs::remove_all(old, ec);
  }
  flush(target.parent_path());
  return {};
}

Status Store::remove(const StoredModel& model) const {
  const FileLock pull = lock_pull(model.key), use = lock_use(model.key, true);
  for (const FileLock* lock : {&pull, &use})
    if (!lock->held()) return tl::unexpected(lock->error(model.name()));
  std::error_code ec;
  // A rename first: no reader sees half of it.
  const fs::path gone = models_ / ".partial" / (flat(model.key) + ".gone");
  fs::create_directories(gone.parent_path(), ec);
  fs::remove_all(gone, ec);
  if (::rename(model.folder.c_str(), gone.c_str()) != 0) return write_error(model.folder, errno);
  fs::remove_all(gone, ec);
  if (ec) return write_error(gone, ec.value());
  fs::remove_all(staging(model.key), ec);
  // Empty folders above it, up to models/.
  for (fs::path at = model.folder.parent_path(); at != models_ && fs::is_empty(at, ec) && !ec;
       at = at.parent_path())
    if (!fs::remove(at, ec)) break;
  return {};
}

Status Store::remove_partial(const PartialModel& partial) const {
  const FileLock pull = lock_pull(partial.key);
  if (!pull.held()) return tl::unexpected(pull.error(partial.name));
  std::error_code ec;
  fs::remove_all(staging(partial.key), ec);
  if (ec) return write_error(staging(partial.key), ec.value());
  return {};
}

std::string names_of(const std::vector<StoredModel>& models) {
  std::vector<std::string> names;
  for (const StoredModel& m : models) {
    const auto n = std::count_if(models.begin(), models.end(),
                                 [&](const StoredModel& other) { return other.name() == m.name(); });
    names.push_back(n == 1 ? m.name() : m.key);
  }
  return fmt::to_string(fmt::join(names, ", "));
}

}  // namespace qw::hub
