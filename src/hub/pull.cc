#include "hub/pull.h"

#include <strings.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "base/json.h"
#include "base/mmap.h"
#include "hub/external.h"
#include "hub/hash.h"
#include "hub/part_file.h"
#include "hub/place_file.h"

namespace qw::hub {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxIndexBytes = size_t{64} << 20;
constexpr int64_t kSpareBytes = int64_t{64} << 20;  // of the disk, left free
constexpr Milliseconds kWaitPoll{300};
constexpr auto kShareEvery = std::chrono::milliseconds(500);
constexpr size_t kHashStep = size_t{16} << 20;

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm utc = {};
  ::gmtime_r(&now, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

bool same_content(const RemoteFile& a, const RemoteFile& b) {
  return a.path == b.path && a.size == b.size && a.hash_kind == b.hash_kind && a.hash == b.hash;
}

// ---- the progress of a pull, for those that wait for it

fs::path progress_file(const fs::path& staging) {
  return staging / "progress";
}

void share_progress(const fs::path& staging, const DownloadProgress& p) {
  const fs::path temp = staging / "progress.new";
  std::ofstream(temp) << to_json_line({{"done", p.done},
                                       {"total", p.total},
                                       {"speed", p.bytes_per_s},
                                       {"files_done", p.files_done},
                                       {"files", p.files}});
  std::error_code ec;
  fs::rename(temp, progress_file(staging), ec);
}

std::optional<DownloadProgress> shared_progress(const fs::path& staging) {
  const Result<std::string> text = read_file(progress_file(staging), 4096);
  const Result<Json> json = text ? parse_json(*text, "progress") : tl::unexpected<Error>(text.error());
  if (!json) return std::nullopt;
  try {
    return DownloadProgress{.done = json->at("done").get<int64_t>(),
                            .total = json->at("total").get<int64_t>(),
                            .bytes_per_s = json->at("speed").get<double>(),
                            .files_done = json->at("files_done").get<int>(),
                            .files = json->at("files").get<int>()};
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

// ---- what is on this machine already

Result<bool> has_content(const fs::path& path, const RemoteFile& file, const std::stop_token& stop) {
  const Result<std::shared_ptr<const MappedFile>> map = MappedFile::open(path);
  if (!map || static_cast<int64_t>((*map)->bytes().size()) != file.size) return false;
  ContentHash hash(file.hash_kind, file.size);
  for (auto rest = (*map)->bytes(); !rest.empty();) {
    if (stop.stop_requested()) return fail("hub.cancelled");
    const size_t n = std::min(rest.size(), kHashStep);
    hash.add(rest.first(n));
    rest = rest.subspan(n);
  }
  return hash.finish() == file.hash;
}

// Links in what an older version of the model, or another program, has.
Status take_what_is_here(const Store& store, const Network& network, const PullPlan& plan,
                         std::string_view version) {
  const auto old = store.find(plan.key);
  const fs::path staging = store.staging(plan.key);
  const ExternalFolders folders = external_folders();
  for (const RemoteFile& file : plan.files) {
    if (file.hash_kind == HashKind::none || file.size == 0) continue;
    if (staged_bytes(staging, {file}, version) > 0) continue;
    std::optional<fs::path> from;
    if (old)
      for (const RemoteFile& f : old->record->files)
        if (same_content(f, file)) from = old->folder / file.path;
    if (!from) from = external_blob(folders, plan.name, file);
    if (!from) continue;
    QW_TRY(const bool good, has_content(*from, file, network.stop));
    if (!good || !place_file(*from, staged_file(staging, file))) continue;
    QW_TRY(mark_verified(staging, file, version));
  }
  return {};
}

// Bytes that the disk still has to give. Parts under way have theirs reserved.
int64_t wanted_space(const fs::path& staging, const PullPlan& plan, std::string_view version) {
  int64_t n = 0;
  for (const RemoteFile& file : plan.files) {
    struct stat st = {};
    const fs::path part = staging / "parts" / (PartFile::stem(file) + ".part");
    int64_t have = ::stat(part.c_str(), &st) == 0 ? int64_t{512} * st.st_blocks : 0;
    if (have == 0 && staged_bytes(staging, {file}, version) == file.size) have = file.size;
    n += std::max<int64_t>(file.size - have, 0);
  }
  return n;
}

Status check_space(const fs::path& staging, int64_t wanted) {
  std::error_code ec;
  const fs::space_info space = fs::space(staging, ec);
  if (ec || wanted == 0 || space.available >= static_cast<uintmax_t>(wanted + kSpareBytes)) return {};
  return fail("hub.no_space", {{"folder", staging.parent_path().parent_path().string()},
                               {"needed", size_text(wanted + kSpareBytes)},
                               {"free", size_text(static_cast<int64_t>(space.available))}});
}

// Takes away parts of what is no longer wanted: the repository has changed since.
void clear_strangers(const fs::path& staging, const PullPlan& plan) {
  std::error_code ec;
  for (fs::directory_iterator it(staging / "parts", ec), end; !ec && it != end; it.increment(ec)) {
    const std::string stem = it->path().stem().string();
    const bool known = std::any_of(plan.files.begin(), plan.files.end(),
                                   [&](const RemoteFile& f) { return PartFile::stem(f) == stem; });
    std::error_code one;
    if (!known) fs::remove(it->path(), one);
  }
  std::vector<fs::path> gone;
  const fs::path files = staging / "files";
  for (fs::recursive_directory_iterator it(files, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string path = it->path().lexically_relative(files).string();
    std::error_code one;
    if (it->is_directory(one)) continue;
    if (std::none_of(plan.files.begin(), plan.files.end(), [&](const auto& f) { return f.path == path; }))
      gone.push_back(it->path());
  }
  for (const fs::path& path : gone) fs::remove(path, ec);
}

Record record_of(const PullPlan& plan, const Selection& selection) {
  Record out{.name = plan.name.text(),
             .source = std::string(source_name(plan.name.source)),
             .revision = plan.name.revision,
             .commit = plan.commit,
             .quant = plan.quant,
             .licence = plan.licence,
             .model_file = selection.model_file,
             .pulled = now_text(),
             .files = plan.files};
  return out;
}

// ---- files of this machine

Result<Listing> list_disk(const ModelName& name) {
  fs::path path(name.place);
  if (name.place.starts_with("~/") && std::getenv("HOME") != nullptr)
    path = fs::path(std::getenv("HOME")) / name.place.substr(2);
  std::error_code ec;
  path = fs::canonical(path, ec);
  if (ec) return fail("hub.no_disk_file", {{"path", name.place}});
  Listing out{.name = name, .host = path.string()};
  const auto add = [&](const fs::path& file, const std::string& called) {
    std::error_code one;
    const uintmax_t size = fs::file_size(file, one);
    if (!one && safe_path(called))
      out.files.push_back({.path = called, .size = static_cast<int64_t>(size), .url = file.string()});
  };
  if (fs::is_regular_file(path, ec)) {
    out.name.repo = path.stem().string();
    out.name.file = path.filename().string();
    if (path.extension() != ".gguf") out.name.file += ".gguf";
    // All parts of a split file lie beside it.
    for (const auto& entry : fs::directory_iterator(path.parent_path(), ec))
      if (entry.path().extension() == ".gguf") add(entry.path(), entry.path().filename().string());
    if (path.extension() != ".gguf") add(path, out.name.file);
  } else {
    out.name.repo = path.filename().string();
    for (fs::recursive_directory_iterator it(path, ec), end; !ec && it != end; it.increment(ec)) {
      if (it.depth() >= 1) it.disable_recursion_pending();
      std::error_code one;
      if (it->is_regular_file(one)) add(it->path(), it->path().lexically_relative(path).string());
    }
  }
  if (!safe_path(out.name.repo)) return fail("hub.no_disk_file", {{"path", name.place}});
  return out;
}

Status import_files(const PullPlan& plan, const fs::path& staging, const Network& network,
                    const PullEvents& events) {
  DownloadProgress p{.total = plan.total_bytes, .files = static_cast<int>(plan.files.size())};
  for (const RemoteFile& file : plan.files) {
    if (network.stop.stop_requested()) return fail("hub.cancelled");
    QW_TRY(place_file(file.url, staged_file(staging, file)));
    p.done += file.size;
    ++p.files_done;
    events.progress(p);
  }
  return {};
}

// ---- the whole

struct Planned {
  Listing listing;
  Selection selection;
  PullPlan plan;
};

Result<Planned> make_plan(const Network& network, const Endpoints& endpoints, const ModelName& name) {
  Planned out;
  const bool disk = name.source == Source::disk;
  if (disk) {
    QW_TRY(out.listing, list_disk(name));
  } else {
    QW_TRY(out.listing, list_files(network, endpoints, name));
  }
  std::string index;
  if (const auto file = index_wanted(out.listing); file && disk) {
    QW_TRY(index, read_file(file->url, kMaxIndexBytes));
  } else if (file) {
    QW_TRY(const HttpText text,
           fetch_text(network, {.url = file->url, .secret_headers = out.listing.secret_headers},
                      kMaxIndexBytes));
    if (!text.outcome.ok()) return tl::unexpected<Error>(file_error(out.listing, *file, text.outcome));
    index = text.body;
  }
  QW_TRY(out.selection, select_files(out.listing, index));
  QW_TRY(check_collisions(out.listing.name, out.selection.files));
  PullPlan& plan = out.plan;
  plan.name = out.listing.name;
  plan.host = out.listing.host;
  plan.licence = out.listing.licence;
  plan.quant = out.selection.quant;
  plan.commit = content_version(out.listing);
  plan.files = out.selection.files;
  plan.total_bytes = out.selection.total_bytes();
  const bool repository = name.source == Source::huggingface || name.source == Source::modelscope;
  if (repository) plan.name.quant = out.selection.variant;
  if (name.source == Source::url || disk) plan.name.place = plan.name.repo;
  ModelName place = plan.name;
  if (!repository) place.place = disk ? out.listing.host : name.place;
  plan.key = Store::key_of(place, repository ? plan.name.quant : "");
  return out;
}

std::optional<StoredModel> already_here(const Store& store, const PullPlan& plan) {
  auto model = store.find(plan.key);
  if (!model || model->record->commit != plan.commit || plan.commit.empty()) return std::nullopt;
  if (model->record->files.size() != plan.files.size()) return std::nullopt;
  for (size_t i = 0; i < plan.files.size(); ++i) {
    std::error_code ec;
    const RemoteFile& file = plan.files[i];
    if (!same_content(model->record->files[i], file)) return std::nullopt;
    if (fs::file_size(model->folder / file.path, ec) != static_cast<uintmax_t>(file.size) || ec)
      return std::nullopt;
  }
  return model;
}

// The lock of this model's pull. Where another process has it, its progress is shown until it ends.
Result<FileLock> lock_or_wait(const Store& store, const Network& network, const PullPlan& plan,
                              const PullEvents& events) {
  FileLock lock = store.lock_pull(plan.key);
  bool told = false;
  while (lock.busy()) {
    if (!told) events.waiting();
    told = true;
    if (const auto progress = shared_progress(store.staging(plan.key))) events.progress(*progress);
    if (!sleep_unless(network.stop, kWaitPoll)) return fail("hub.cancelled");
    lock = store.lock_pull(plan.key);
  }
  if (!lock.held()) return tl::unexpected(lock.error(plan.name.text()));
  return lock;
}

Status fetch(const Network& network, const Planned& planned, const fs::path& staging,
             const PullEvents& events, const PullOptions& options) {
  if (planned.plan.name.source == Source::disk) return import_files(planned.plan, staging, network, events);
  auto next_share = std::chrono::steady_clock::now();
  const auto progress = [&](const DownloadProgress& p) {
    events.progress(p);
    if (std::chrono::steady_clock::now() < next_share) return;
    share_progress(staging, p);
    next_share = std::chrono::steady_clock::now() + kShareEvery;
  };
  return download(network, planned.listing, planned.plan.files, staging, options.download, progress);
}

Status prepare_staging(const fs::path& staging, const PullPlan& plan) {
  std::error_code ec;
  fs::create_directories(staging / "files", ec);
  if (ec) return fail("file.write", {{"file", staging.string()}, {"reason", ec.message()}});
  QW_TRY(write_file_atomic(staging / "key", plan.key));
  QW_TRY(write_file_atomic(staging / "name", plan.name.text()));
  clear_strangers(staging, plan);
  return {};
}

}  // namespace

std::string size_text(int64_t bytes) {
  const double b = static_cast<double>(bytes);
  if (b >= 1e9) return fmt::format("{:.2f} GB", b / 1e9);
  if (b >= 1e6) return fmt::format("{:.1f} MB", b / 1e6);
  if (b >= 1e3) return fmt::format("{:.1f} kB", b / 1e3);
  return fmt::format("{} B", bytes);
}

Result<Pulled> pull(const Store& store, const Network& network, const Endpoints& endpoints,
                    const ModelName& name, const PullEvents& events, const PullOptions& options) {
  QW_TRY(Planned planned, make_plan(network, endpoints, name));
  PullPlan& plan = planned.plan;
  Pulled out;
  out.verified = std::all_of(plan.files.begin(), plan.files.end(),
                             [](const RemoteFile& f) { return f.hash_kind != HashKind::none; });
  out.fresh = false;
  if (auto here = already_here(store, plan)) {
    // A pull that died behind its last step leaves an empty shell.
    std::error_code ec;
    if (const FileLock lock = store.lock_pull(plan.key); lock.held())
      fs::remove_all(store.staging(plan.key), ec);
    out.model = *std::move(here);
    return out;
  }
  QW_TRY(const FileLock lock, lock_or_wait(store, network, plan, events));
  if (auto here = already_here(store, plan)) {  // whoever had the lock has pulled it
    out.model = *std::move(here);
    return out;
  }
  const fs::path staging = store.staging(plan.key);
  const std::string version = content_version(planned.listing);
  QW_TRY(prepare_staging(staging, plan));
  QW_TRY(take_what_is_here(store, network, plan, version));
  plan.have_bytes = staged_bytes(staging, plan.files, version);
  events.planned(plan);
  QW_TRY(check_space(staging, name.source == Source::disk ? 0 : wanted_space(staging, plan, version)));
  QW_TRY(fetch(network, planned, staging, events, options));
  QW_TRY(write_record(staging / "files", record_of(plan, planned.selection)));
  QW_TRY(store.publish(plan.key, staging / "files"));
  std::error_code ec;
  fs::remove_all(staging, ec);
  auto model = store.find(plan.key);
  if (!model) return fail("file.write", {{"file", store.folder(plan.key).string()}, {"reason", "?"}});
  out.model = *std::move(model);
  out.fresh = true;
  out.fetched_bytes = plan.total_bytes - plan.have_bytes;
  return out;
}

}  // namespace qw::hub
