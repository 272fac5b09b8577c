#include "hub/download.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <list>
#include <thread>

#include "base/mmap.h"
#include "base/rng.h"
#include "hub/hash.h"
#include "hub/part_file.h"
#include "hub/sources.h"

namespace qw::hub {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr Milliseconds kPoll{100}, kProgressEvery{200}, kSyncEvery{1000};
constexpr auto kSpeedWindow = std::chrono::seconds(6);
constexpr size_t kHashBytes = size_t{4} << 20;
constexpr int64_t kForgetFailures = int64_t{1} << 20;  // bytes that arrive between two failures
constexpr size_t kErrorBody = size_t{1} << 20;

std::string identity(const RemoteFile& file, std::string_view version) {
  return fmt::format("{} {}", file.size, file.hash.empty() ? version : file.hash);
}
fs::path parts_of(const fs::path& staging) {
  return staging / "parts";
}
fs::path mark_of(const fs::path& staging, const RemoteFile& file) {
  return parts_of(staging) / (PartFile::stem(file) + ".ok");
}

bool is_verified(const fs::path& staging, const RemoteFile& file, std::string_view version) {
  const Result<std::string> mark = read_file(mark_of(staging, file), 4096);
  std::error_code ec;
  return mark && *mark == identity(file, version) &&
         fs::file_size(staged_file(staging, file), ec) == static_cast<uintmax_t>(file.size) && !ec;
}

// A file's way from the first byte to its place.
struct Item {
  const RemoteFile* file = nullptr;
  std::unique_ptr<PartFile> part = {};  // none once verified, and for what was before
  RangeSet claimed = {};                // done or under way; of the network thread
  bool no_ranges = false;               // the server sends nothing but the whole
  int n_running = 0;                    // transfers
  int n_hash_failures = 0;              // of the hashing thread
  std::atomic<bool> verified = false;
  std::atomic<bool> restarted = false;  // the hash was wrong: claimed is to be forgotten
};

// One range of one file.
class RangeSink : public HttpSink {
 public:
  // `etag`: of the content that was listed, "" where a hash tells.
  RangeSink(Item& item, ByteRange range, std::string_view etag)
      : item_(item), at_(range.begin), end_(range.end), etag_(etag) {}

  bool head(int status, const HttpHeaders& headers) override {
    if (status == 206) {
      changed = !fits(headers);
      return !changed;
    }
    if (status != 200) return failed_ = true;
    const auto length = headers.find("content-length");
    changed = length != headers.end() && length->second != std::to_string(item_.part->size());
    if (at_ == 0 && end_ == item_.part->size()) return !changed;
    // The whole file where a part was asked for.
    no_ranges = !changed;
    return false;
  }

  bool body(std::span<const std::byte> bytes) override {
    if (failed_) return (ignored_ += bytes.size()) <= kErrorBody;
    const auto n = static_cast<size_t>(std::min<int64_t>(end_ - at_, static_cast<int64_t>(bytes.size())));
    error = item_.part->write(at_, bytes.first(n));
    if (!error) return false;
    at_ += static_cast<int64_t>(n);
    arrived += static_cast<int64_t>(n);
    return n == bytes.size();
  }

  Item& item() const { return item_; }
  ByteRange rest() const { return {at_, end_}; }

  bool changed = false, no_ranges = false;
  Status error = {};
  int64_t arrived = 0;

 private:
  // "bytes 5-9/10" is what was asked for, of a file of the size that was listed.
  bool fits(const HttpHeaders& headers) const {
    const auto it = headers.find("content-range");
    const auto tag = headers.find("etag");
    if (it == headers.end() || (!etag_.empty() && tag != headers.end() && tag->second != etag_)) return false;
    const std::string begin = fmt::format("bytes {}-", at_), total = fmt::format("/{}", item_.part->size());
    return it->second.starts_with(begin) && (it->second.ends_with(total) || it->second.ends_with("/*"));
  }

  Item& item_;
  int64_t at_, end_;
  std::string_view etag_;
  bool failed_ = false;
  size_t ignored_ = 0;
};

class Download {
 public:
  Download(const Network& network, const Listing& listing, const fs::path& staging,
           const DownloadOptions& options)
      : network_(network), listing_(listing), staging_(staging), options_(options), client_(network.http) {}

  Status prepare(const std::vector<RemoteFile>& files);
  Status run(const std::function<void(const DownloadProgress&)>& progress);

 private:
  // Network thread.
  std::optional<ByteRange> next_range(Item& item);
  void start_transfers();
  void finished(std::list<RangeSink>::iterator sink, HttpOutcome outcome);
  void failed(const RangeSink& sink, const HttpOutcome& outcome);
  DownloadProgress measure();
  // Their own threads.
  void hash_all(const std::stop_token& stop);
  Status hash_one(Item& item, const std::stop_token& stop);
  void sync_all(const std::stop_token& stop);

  void set_error(Error error);
  bool has_error() const { return broken_; }
  bool all_verified() const {
    return std::all_of(items_.begin(), items_.end(), [](const Item& i) { return i.verified.load(); });
  }

  const Network& network_;
  const Listing& listing_;
  const fs::path staging_;
  const DownloadOptions options_;
  HttpClient client_;
  std::list<Item> items_;
  std::list<RangeSink> sinks_;
  int failures_ = 0;
  int64_t since_failure_ = 0;
  int64_t pause_s_ = 0;
  Clock::time_point not_before_{};
  std::deque<std::pair<Clock::time_point, int64_t>> samples_;

  std::mutex mutex_;
  std::condition_variable_any wake_hash_;
  std::optional<Error> error_;  // guarded by mutex_
  std::atomic<bool> broken_ = false;
};

void Download::set_error(Error error) {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = std::move(error);
  broken_ = true;
  client_.wake();
}

Status Download::prepare(const std::vector<RemoteFile>& files) {
  std::error_code ec;
  fs::create_directories(parts_of(staging_), ec);
  const std::string version = content_version(listing_);
  for (const RemoteFile& file : files) {
    Item& item = items_.emplace_back();
    item.file = &file;
    item.verified = is_verified(staging_, file, version);
    if (item.verified) continue;
    QW_TRY(item.part, PartFile::open(parts_of(staging_), file, version));
    item.claimed = item.part->done();
  }
  return {};
}

std::optional<ByteRange> Download::next_range(Item& item) {
  if (item.verified || !item.part) return std::nullopt;
  const int64_t size = item.part->size();
  if (item.restarted) {
    if (item.n_running > 0) return std::nullopt;
    item.claimed.clear();
    item.restarted = false;
  }
  if (item.no_ranges) {
    if (item.n_running > 0 || item.claimed.contains({0, size})) return std::nullopt;
    if (!item.part->reset()) return std::nullopt;
    item.claimed.clear();
    return ByteRange{0, size};
  }
  const auto gap = item.claimed.first_gap({0, size});
  if (!gap) return std::nullopt;
  int64_t left = 0;
  for (const Item& other : items_)
    if (other.part && !other.verified) left += other.part->size() - other.claimed.size();
  const int64_t chunk = std::clamp(left / (4 * options_.connections), options_.min_chunk, options_.max_chunk);
  return ByteRange{gap->begin, std::min(gap->end, gap->begin + chunk)};
}

void Download::start_transfers() {
  if (Clock::now() < not_before_) return;
  pause_s_ = 0;
  for (Item& item : items_) {
    while (client_.running() < options_.connections) {
      const auto range = next_range(item);
      if (!range) break;
      item.claimed.add(*range);
      ++item.n_running;
      sinks_.emplace_back(item, *range, listing_.etag);
      const auto sink = std::prev(sinks_.end());
      HttpRequest request{.url = item.file->url, .secret_headers = listing_.secret_headers};
      const bool whole = range->begin == 0 && range->end == item.part->size();
      if (!whole || !item.no_ranges) request.range = range;
      client_.start(std::move(request), *sink, [this, sink](const HttpOutcome& o) { finished(sink, o); });
    }
  }
}

void Download::finished(std::list<RangeSink>::iterator at, HttpOutcome outcome) {
  std::list<RangeSink> gone;
  gone.splice(gone.begin(), sinks_, at);
  const RangeSink& sink = gone.front();
  Item& item = sink.item();
  --item.n_running;
  if (!item.restarted) item.claimed.remove(sink.rest());
  since_failure_ += sink.arrived;
  if (since_failure_ >= kForgetFailures || sink.rest().size() == 0) failures_ = 0;
  wake_hash_.notify_all();
  if (!sink.error) return set_error(sink.error.error());
  if (sink.changed) return set_error(Error("hub.changed", {{"path", item.file->path}}));
  if (sink.no_ranges) {
    item.no_ranges = true;
    return;
  }
  if (sink.rest().size() == 0) return;
  if (outcome.ok()) {  // the server holds its answer for whole
    outcome.fault = HttpFault::broken;
    outcome.reason = "the answer ended early";
  }
  failed(sink, outcome);
}

void Download::failed(const RangeSink& sink, const HttpOutcome& outcome) {
  // An address that a hub signed for a while may have run out: the next attempt gets a new one.
  const bool signed_away = outcome.redirected && outcome.status >= 400 && outcome.status < 500;
  if (!may_retry(outcome) && !signed_away) return set_error(file_error(listing_, *sink.item().file, outcome));
  since_failure_ = 0;
  if (++failures_ >= network_.retry.attempts || asks_too_much(network_.retry, outcome))
    return set_error(signed_away ? file_error(listing_, *sink.item().file, outcome)
                                 : transfer_error(outcome));
  const Milliseconds wait = wait_before(network_.retry, failures_, outcome);
  not_before_ = std::max(not_before_, Clock::now() + wait);
  if (const auto asked = asked_wait(outcome, std::time(nullptr))) pause_s_ = asked->count();
}

Status Download::hash_one(Item& item, const std::stop_token& stop) {
  PartFile& part = *item.part;
  std::vector<std::byte> buffer(kHashBytes);
  const bool hashed = item.file->hash_kind != HashKind::none;
  while (true) {
    int generation = part.prefix().generation;
    std::optional<ContentHash> hash;
    if (hashed) hash.emplace(item.file->hash_kind, part.size());
    for (int64_t at = 0; at < part.size();) {
      const PartFile::Prefix now = part.prefix();
      if (stop.stop_requested()) return {};
      if (now.generation != generation) {
        generation = -1;
        break;
      }
      if (now.bytes == at) {
        std::unique_lock lock(mutex_);
        wake_hash_.wait_for(lock, kPoll);
        continue;
      }
      const auto n = static_cast<size_t>(std::min<int64_t>(now.bytes - at, static_cast<int64_t>(kHashBytes)));
      if (hash) {
        QW_TRY(part.read(at, std::span(buffer).first(n)));
        hash->add(std::span(buffer).first(n));
      }
      at += static_cast<int64_t>(n);
    }
    if (generation < 0) continue;
    const std::string found = hash ? hash->finish() : std::string();
    if (found == item.file->hash) break;
    if (++item.n_hash_failures > 1)
      return fail("hub.wrong_hash",
                  {{"path", item.file->path}, {"expected", item.file->hash}, {"found", found}});
    QW_TRY(part.reset());
    item.restarted = true;
    client_.wake();
  }
  QW_TRY(part.finish(staged_file(staging_, *item.file)));
  QW_TRY(mark_verified(staging_, *item.file, content_version(listing_)));
  item.verified = true;
  client_.wake();
  return {};
}

void Download::hash_all(const std::stop_token& stop) {
  for (Item& item : items_) {
    if (item.verified) continue;
    const Status status = hash_one(item, stop);
    if (!status) return set_error(status.error());
    if (stop.stop_requested()) return;
  }
}

void Download::sync_all(const std::stop_token& stop) {
  while (sleep_unless(stop, kSyncEvery))
    for (Item& item : items_) {
      if (item.verified || !item.part) continue;
      if (const Status status = item.part->sync(); !status && !item.verified) set_error(status.error());
    }
}

DownloadProgress Download::measure() {
  DownloadProgress out{.files = static_cast<int>(items_.size()), .pause_s = pause_s_};
  for (const Item& item : items_) {
    out.total += item.file->size;
    out.done += item.verified || !item.part ? item.file->size : item.part->done_bytes();
    if (item.verified) ++out.files_done;
  }
  const auto now = Clock::now();
  samples_.emplace_back(now, out.done);
  while (samples_.size() > 2 && now - samples_.front().first > kSpeedWindow) samples_.pop_front();
  const double seconds = std::chrono::duration<double>(now - samples_.front().first).count();
  if (seconds > 0.5)
    out.bytes_per_s = std::max(0.0, static_cast<double>(out.done - samples_.front().second) / seconds);
  out.verifying = out.done == out.total && out.files_done < out.files;
  return out;
}

Status Download::run(const std::function<void(const DownloadProgress&)>& progress) {
  const std::stop_callback wake(network_.stop, [this] { client_.wake(); });
  {
    const std::jthread hasher([this](const std::stop_token& stop) { hash_all(stop); });
    const std::jthread keeper([this](const std::stop_token& stop) { sync_all(stop); });
    auto next_progress = Clock::now();
    while (!all_verified() && !has_error() && !network_.stop.stop_requested()) {
      start_transfers();
      client_.poll(kPoll);
      if (Clock::now() < next_progress) continue;
      progress(measure());
      next_progress = Clock::now() + kProgressEvery;
    }
  }
  // What came since the last sync is kept too; an error of that does not hide the first.
  for (Item& item : items_)
    if (item.part && !item.verified) (void)item.part->sync();
  progress(measure());
  const std::lock_guard lock(mutex_);
  if (error_) return tl::unexpected<Error>(*error_);
  if (!all_verified()) return fail("hub.cancelled");
  return {};
}

}  // namespace

fs::path staged_file(const fs::path& staging, const RemoteFile& file) {
  return staging / "files" / fs::path(file.path);
}

std::string content_version(const Listing& listing) {
  if (!listing.commit.empty()) return listing.commit;
  if (!listing.etag.empty()) return listing.etag;
  std::string all;
  for (const RemoteFile& f : listing.files) {
    if (f.hash.empty()) return {};
    all += fmt::format("{} {} {}\n", f.path, f.size, f.hash);
  }
  return fmt::format("content-{:016x}", name_key(all));
}

Status mark_verified(const fs::path& staging, const RemoteFile& file, std::string_view version) {
  std::error_code ec;
  fs::create_directories(parts_of(staging), ec);
  return write_file_atomic(mark_of(staging, file), identity(file, version));
}

int64_t staged_bytes(const fs::path& staging, const std::vector<RemoteFile>& files,
                     std::string_view version) {
  int64_t n = 0;
  std::error_code ec;
  for (const RemoteFile& file : files) {
    const fs::path journal = parts_of(staging) / (PartFile::stem(file) + ".ranges");
    if (is_verified(staging, file, version)) {
      n += file.size;
    } else if (fs::exists(journal, ec)) {
      if (const auto part = PartFile::open(parts_of(staging), file, version)) n += (*part)->done_bytes();
    }
  }
  return n;
}

Status download(const Network& network, const Listing& listing, const std::vector<RemoteFile>& files,
                const fs::path& staging, const DownloadOptions& options,
                const std::function<void(const DownloadProgress&)>& progress) {
  Download work(network, listing, staging, options);
  QW_TRY(work.prepare(files));
  return work.run(progress);
}

}  // namespace qw::hub
