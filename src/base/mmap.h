// A file mapped read-only, shared and never copied. Test: tests/base/base_test.cc
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "base/result.h"

namespace qw {

// The bytes stay valid while any holder of the shared_ptr lives. A file that shrinks afterwards raises SIGBUS
// on access (as with every mapping); the size is taken once, here.
class MappedFile {
 public:
  // Errors: file.open (missing or unreadable; args file, reason), file.not_regular (a folder, a device).
  static Result<std::shared_ptr<const MappedFile>> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}

  std::filesystem::path path_;
  const std::byte* data_;
  size_t size_;
};

// The whole file as a string. Errors as MappedFile::open, and file.too_large above `max_bytes`.
Result<std::string> read_file(const std::filesystem::path& path, size_t max_bytes = size_t{1} << 30);

// Writes a temporary file beside `path`, flushes it to disk, and renames it over `path`, so that a reader or
// a crash sees the old or the new content, never a part. Errors: file.write (args file, reason).
Status write_file_atomic(const std::filesystem::path& path, std::string_view content);

}  // namespace qw
