// A file that appears whole: written at any offsets into a temporary file beside its path, which commit()
// flushes and renames; one that was there leaves it its permissions. Test: tests/base/base_test.cc,
// tests/io/gguf_writer_test.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/result.h"

namespace qw {

class AtomicFile {
 public:
  // Errors, here and below: file.write (args file, reason).
  static Result<AtomicFile> create(const std::filesystem::path& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  // Removes what was not committed.
  ~AtomicFile();

  Status write(int64_t offset, std::span<const std::byte> bytes) const;
  Status commit();

 private:
  AtomicFile(std::filesystem::path path, std::string temp, int fd)
      : path_(std::move(path)), temp_(std::move(temp)), fd_(fd) {}
  tl::unexpected<Error> error() const;

  std::filesystem::path path_;
  std::string temp_;
  int fd_;  // −1 once committed
};

// The pattern (for mkstemp, mkdtemp) of what is written in place of `path` until it is whole.
std::string unfinished_name(const std::filesystem::path& path);
// Removes, as far as it can, what processes that were killed left under such names. Nobody else may be
// writing `path` meanwhile.
void remove_unfinished(const std::filesystem::path& path);

// The permissions that a new file or folder gets from `mode` under the process's umask.
unsigned allowed_mode(unsigned mode);

// Errors: file.no_space (args file, needed, free: bytes), where `path`, which need not be there yet, lies on
// a file system with less than `bytes` free.
Status check_free_space(const std::filesystem::path& path, int64_t bytes);

}  // namespace qw
