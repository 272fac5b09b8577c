// The models of this machine: $QW_HOME/models. Layout and locks: docs/hub.md. Test: tests/hub/pull_test.cc
#pragma once

#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "hub/listing.h"
#include "hub/select.h"

namespace qw::hub {

// What a pulled folder knows about itself: its file .qw.json.
struct Record {
  std::string name;      // "Qwen/Qwen3-0.6B", as a person writes it
  std::string source;    // "huggingface", …
  std::string revision;  // asked for; "" for the usual one
  std::string commit;
  std::string quant;
  std::string licence;
  std::string model_file;  // the GGUF file; "" where the folder is the model
  std::string pulled;      // 2026-11-22T10:00:00Z
  std::vector<RemoteFile> files;
  int64_t total_bytes() const;
};

struct StoredModel {
  std::string key;                    // "huggingface/Qwen/Qwen3-0.6B/main": the folder below models/
  std::filesystem::path folder;       // a GGUF file where a person put one there
  std::optional<Record> record = {};  // none for what a person put there
  int64_t bytes = 0;
  std::time_t last_used = 0;  // 0: never

  std::filesystem::path model_path() const;  // what open_checkpoint takes
  std::string name() const;                  // what a person writes
};

// A download that has not come to its end.
struct PartialModel {
  std::string key, name;
  int64_t bytes = 0;
};

// A lock on a file, held while this lives; it ends with the process too.
class FileLock {
 public:
  bool held() const { return fd_.open(); }
  bool busy() const;  // another holds it; what else stands against it may stay so for ever
  // Why it is not held: hub.in_use (args name) where it is busy, else file.write.
  Error error(std::string_view name) const;
  // Not held where another holds it, or where it cannot be made or locked.
  static FileLock try_lock(const std::filesystem::path& file, bool exclusive);

 private:
  Descriptor fd_;
  std::filesystem::path file_;
  int errno_ = 0;
};

class Store {
 public:
  explicit Store(std::filesystem::path models) : models_(std::move(models)) {}

  const std::filesystem::path& models() const { return models_; }
  // The folder of a model below models/, made of the name in the repository's spelling; of a file or folder
  // of this machine `place` is the canonical path. `variant` as in Selection.
  static std::string key_of(const ModelName& name, std::string_view variant);

  std::filesystem::path folder(std::string_view key) const { return models_ / std::filesystem::path(key); }
  std::filesystem::path staging(std::string_view key) const;
  // The model with this key, where it is whole.
  std::optional<StoredModel> find(std::string_view key) const;
  // Everything that is here, by name.
  std::vector<StoredModel> list() const;
  std::vector<PartialModel> partials() const;
  // The models that `text` may mean: a key, a name as pulled ("Qwen/Qwen3-0.6B", also with @revision and
  // :QUANT), else one without its source, revision and quantisation, or a repository's last part
  // ("qwen3-0.6b"), in any case.
  std::vector<StoredModel> matches(std::string_view text) const;

  // Exclusive, by whoever pulls this model.
  FileLock lock_pull(std::string_view key) const;
  // Shared, by every running qw that has the model open; exclusive, by whoever takes it away.
  FileLock lock_use(std::string_view key, bool exclusive) const;
  // The key of the model that holds `path`, "" for a path outside the store.
  std::string key_of_path(const std::filesystem::path& path) const;
  void touch(std::string_view key) const;  // it is used now

  // Puts the finished folder in place, at once; one that is there goes. Errors: hub.in_use (args name),
  // file.write.
  Status publish(std::string_view key, const std::filesystem::path& finished) const;
  // Takes a model away, with what is left of downloads of it. Errors: hub.in_use (name), file.write.
  Status remove(const StoredModel& model) const;
  Status remove_partial(const PartialModel& partial) const;

 private:
  std::filesystem::path lock_file(std::string_view key, std::string_view kind) const;
  void scan(const std::filesystem::path& folder, int depth, std::vector<StoredModel>& out) const;

  std::filesystem::path models_;
};

// Their names, ", " between them; a name that several have gives way to their keys.
std::string names_of(const std::vector<StoredModel>& models);

Result<Record> read_record(const std::filesystem::path& folder);
Status write_record(const std::filesystem::path& folder, const Record& record);

}  // namespace qw::hub
