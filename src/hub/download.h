// Fetches files into a staging folder: ranges of all of them in parallel, taken up where an earlier attempt
// ended, hashed while they arrive. Test: tests/hub/pull_test.cc
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "hub/fetch.h"
#include "hub/listing.h"

namespace qw::hub {

struct DownloadOptions {
  int connections = 8;
  int64_t min_chunk = int64_t{4} << 20;   // bytes asked for at once …
  int64_t max_chunk = int64_t{64} << 20;  // … less towards the end
};

struct DownloadProgress {
  int64_t done = 0, total = 0;  // bytes
  double bytes_per_s = 0;       // of the last seconds
  int files_done = 0, files = 0;
  int64_t pause_s = 0;     // a server asked to wait this long, 0: none did
  bool verifying = false;  // everything is here and is being hashed
};

// Where staging keeps things: files/PATH whole and verified, parts/ what is under way.
std::filesystem::path staged_file(const std::filesystem::path& staging, const RemoteFile& file);
// Bytes of `files` that an earlier attempt left in `staging`.
int64_t staged_bytes(const std::filesystem::path& staging, const std::vector<RemoteFile>& files,
                     std::string_view version);
// Puts a whole, verified file there by other means than a download: notes that it is the one asked for.
Status mark_verified(const std::filesystem::path& staging, const RemoteFile& file, std::string_view version);

// Every file ends as staged_file(), its hash verified. Whatever ends it early leaves what is there for the
// next attempt. Errors: hub.cancelled, hub.wrong_hash (args path, expected, found), hub.changed (path),
// hub.disk_full (file, reason), file.*, those of file_error.
Status download(const Network& network, const Listing& listing, const std::vector<RemoteFile>& files,
                const std::filesystem::path& staging, const DownloadOptions& options,
                const std::function<void(const DownloadProgress&)>& progress);

// What tells versions apart: the commit, else the ETag, else a digest of all hashes; "" where there is none.
std::string content_version(const Listing& listing);

}  // namespace qw::hub
