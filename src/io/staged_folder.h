// A folder that appears whole: files are written into a hidden folder beside the target, which commit()
// puts in place. Test: tests/io/staged_folder_test.cc
#pragma once

#include <filesystem>

#include "base/result.h"

namespace qw {

class StagedFolder {
 public:
  // Makes the hidden folder in the parent of `target` (the parent is made where it is missing). Errors:
  // file.write (args file, reason).
  static Result<StagedFolder> create(const std::filesystem::path& target);
  // Removes the hidden folders of processes that were killed. Nobody else may be writing `target` meanwhile.
  static void remove_unfinished(const std::filesystem::path& target);
  StagedFolder(StagedFolder&& other) noexcept;
  StagedFolder& operator=(StagedFolder&&) = delete;
  // Removes what was not committed.
  ~StagedFolder();

  // Write here.
  const std::filesystem::path& path() const { return temp_; }

  // Flushes every file to disk. Where `target` is absent the folder is renamed to it: a reader or a crash
  // sees nothing or everything. Where it is a folder already, its other files stay and each staged file is
  // renamed over its old one, `last` (a config without which nothing is read) after all others. Errors:
  // file.write.
  Status commit(std::string_view last = {});

 private:
  StagedFolder(std::filesystem::path target, std::filesystem::path temp)
      : target_(std::move(target)), temp_(std::move(temp)) {}

  std::filesystem::path target_;
  std::filesystem::path temp_;  // empty once committed
};

}  // namespace qw
