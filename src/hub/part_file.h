// One file on its way: the bytes that are there, in any order, and a journal of them that a kill or a power
// cut leaves true. Test: tests/hub/parts_test.cc
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "hub/listing.h"
#include "hub/range_set.h"

namespace qw::hub {

// Called by several threads, but for finish().
class PartFile {
 public:
  // Takes up what an earlier pull of the same content left in `folder`, or begins anew. `version`: tells
  // contents apart that have no hash. Reserves the disk space where the file system can. Errors:
  // hub.disk_full (args file, needed), file.write.
  static Result<std::unique_ptr<PartFile>> open(const std::filesystem::path& folder, const RemoteFile& file,
                                                std::string_view version);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  // Errors: hub.disk_full, file.write.
  Status write(int64_t at, std::span<const std::byte> bytes);
  // Fills `out` from `at`, all of which was written. Errors: file.open.
  Status read(int64_t at, std::span<std::byte> out) const;
  // What was written so far reaches the disk, then the journal says so. Errors: file.write.
  Status sync();
  // Forgets every byte. Errors: file.write.
  Status reset();
  // The whole file, synced, gets the name `target`, and the journal goes. Errors: file.write.
  Status finish(const std::filesystem::path& target);

  int64_t size() const { return size_; }
  RangeSet done() const;
  int64_t done_bytes() const;
  // How much is there from the start on, and how often reset() was called.
  struct Prefix {
    int64_t bytes;
    int generation;
  };
  Prefix prefix() const;

  // The two files' names in `folder`, without their endings.
  static std::string stem(const RemoteFile& file);

 private:
  PartFile(std::filesystem::path part, std::filesystem::path journal, std::string identity, int64_t size)
      : part_(std::move(part)), journal_(std::move(journal)), identity_(std::move(identity)), size_(size) {}
  void read_journal();
  Error write_error() const;

  const std::filesystem::path part_, journal_;
  const std::string identity_;  // first line of the journal
  const int64_t size_;
  int fd_ = -1;
  mutable std::mutex mutex_;  // guards the rest
  RangeSet done_;
  int generation_ = 0;
  bool changed_ = false;   // since the last sync
  std::mutex sync_mutex_;  // one sync at a time
};

}  // namespace qw::hub
