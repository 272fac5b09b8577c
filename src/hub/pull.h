// A model brought into the store: listed, checked, fetched, verified, put in place at once.
// Test: tests/hub/pull_test.cc, tests/e2e/pull_test.cc
#pragma once

#include <functional>
#include <string>

#include "hub/download.h"
#include "hub/select.h"
#include "hub/sources.h"
#include "hub/store.h"

namespace qw::hub {

struct PullPlan {
  ModelName name;  // as the repository spells it
  std::string host, licence, quant, commit;
  std::vector<RemoteFile> files;
  int64_t total_bytes = 0;
  int64_t have_bytes = 0;  // of an earlier attempt, or of another version
  std::string key;
};

// Called by the thread that pulls.
struct PullEvents {
  std::function<void(const PullPlan&)> planned = [](const PullPlan&) {};
  std::function<void(const DownloadProgress&)> progress = [](const DownloadProgress&) {};
  // Another process pulls this model; its progress follows. Once.
  std::function<void()> waiting = [] {};
};

struct Pulled {
  StoredModel model;
  bool fresh = true;     // false: it was here already
  bool verified = true;  // false: some file has no published hash
  int64_t fetched_bytes = 0;
};

struct PullOptions {
  DownloadOptions download = {};
};

// Errors: those of list_files, select_files, download and Store::publish; hub.no_space (args folder, needed,
// free: as texts), hub.no_disk_file (path).
Result<Pulled> pull(const Store& store, const Network& network, const Endpoints& endpoints,
                    const ModelName& name, const PullEvents& events, const PullOptions& options = {});

// "1.52 GB"
std::string size_text(int64_t bytes);

}  // namespace qw::hub
