// The safetensors format: reader (memory-mapped, nothing copied), sharded sets with an index, and a writer.
// Spec: https://github.com/huggingface/safetensors (u64 header length, JSON header, tensor bytes without
// holes); the checks are those of its reference crate: header <= 100 MB, offsets contiguous from 0 to the
// end, size = elements x dtype. Test: tests/io/safetensors_test.cc, tests/fuzz/safetensors_fuzz.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mmap.h"
#include "base/result.h"

namespace qw {

// Bytes an element of a safetensors dtype ("F32", "BF16", "F8_E4M3", …); none for a name that is not known.
std::optional<int64_t> safetensors_dtype_bytes(std::string_view dtype);

struct SafetensorsTensor {
  std::string dtype;           // as the header spells it: "F32"
  std::vector<int64_t> shape;  // row-major; empty for a scalar
  std::span<const std::byte> bytes;
};

struct SafetensorsContent {
  std::map<std::string, SafetensorsTensor, std::less<>> tensors;
  std::map<std::string, std::string, std::less<>> metadata;  // __metadata__
};

// Parses a whole file held in `file_bytes`; the spans point into it. `file` only names the source in errors.
// Errors: safetensors.truncated (args expected, found: bytes), safetensors.header_size (found, limit),
// safetensors.header (offset in the JSON), safetensors.duplicate, .entry (tensor, key), .dtype (tensor,
// found), .shape (tensor, found), .size (tensor, expected, found), .offsets (tensor, expected, found: a hole
// or an overlap), .trailing (expected, found), file_kind.*.
Result<SafetensorsContent> parse_safetensors(std::span<const std::byte> file_bytes, std::string_view file);

// One mapped file.
class SafetensorsFile {
 public:
  static Result<std::shared_ptr<const SafetensorsFile>> open(const std::filesystem::path& path);

  const SafetensorsContent& content() const { return content_; }
  const std::filesystem::path& path() const { return map_->path(); }
  int64_t total_bytes() const { return static_cast<int64_t>(map_->bytes().size()); }

 private:
  SafetensorsFile(std::shared_ptr<const MappedFile> map, SafetensorsContent content)
      : map_(std::move(map)), content_(std::move(content)) {}

  std::shared_ptr<const MappedFile> map_;
  SafetensorsContent content_;
};

// One or several files that make one checkpoint.
struct SafetensorsSet {
  struct Item {
    std::shared_ptr<const SafetensorsFile> file;
    const SafetensorsTensor* tensor;  // lives as long as `file`
  };
  std::map<std::string, Item, std::less<>> tensors;
  std::vector<std::shared_ptr<const SafetensorsFile>> files;
};

// A single file (model.safetensors). Errors as parse_safetensors and MappedFile::open.
Result<SafetensorsSet> open_safetensors(const std::filesystem::path& file);

// The files named by an index (model.safetensors.index.json), which lie beside it. Every tensor must be in
// the file the index says. Errors also: safetensors.index (file, key), safetensors.index_path (file, found: a
// name that leaves the folder), safetensors.shard_missing (file, missing, tensor), safetensors.not_in_shard
// (file, tensor), safetensors.in_two_files (tensor, file, other).
Result<SafetensorsSet> open_safetensors_index(const std::filesystem::path& index);

// The weight_map of an index, tensor -> file name. Errors: safetensors.index, safetensors.index_path.
Result<std::map<std::string, std::string>> parse_safetensors_index(std::string_view json,
                                                                   std::string_view file);

}  // namespace qw
