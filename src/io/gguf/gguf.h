// The GGUF container, versions 2 and 3, little-endian, whole or split in parts; memory-mapped, values decoded
// when asked. Spec: ggml/docs/gguf.md of ggml-org. Nothing is allocated by a count the file merely claims:
// every count, offset and length is held against the file's size first. Test: tests/io/gguf_test.cc,
// tests/fuzz/gguf_fuzz.cc
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
#include "core/dtype.h"

namespace qw {

enum class GgufType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
std::string_view gguf_type_name(GgufType type);

// A metadata value: a view of its encoding in the mapping, already checked to lie inside.
class GgufValue {
 public:
  GgufValue() = default;
  GgufValue(GgufType type, GgufType element, uint64_t count, std::span<const std::byte> data)
      : type_(type), element_(element), count_(count), data_(data) {}

  GgufType type() const { return type_; }
  // Arrays: the type of the elements and their number.
  GgufType element() const { return element_; }
  uint64_t count() const { return count_; }
  // "string", "array of i32": for errors.
  std::string type_text() const;

  // Each is none where the type does not fit: integers of any width, signed or not, that fit int64; numbers
  // (an f32 becomes the double with the shortest decimal spelling that gives that f32: 1e-06 and
  // not 9.99999997e-07); flags.
  std::optional<int64_t> as_int() const;
  std::optional<double> as_number() const;
  std::optional<bool> as_bool() const;
  std::optional<std::string_view> as_string() const;
  // The elements of an array of any kind, arrays included; none for other types.
  std::optional<std::vector<GgufValue>> as_items() const;
  std::optional<std::vector<std::string_view>> as_strings() const;
  std::optional<std::vector<int64_t>> as_ints() const;
  // A scalar's bytes, a string's text, an array's elements as they stand in the file.
  std::span<const std::byte> encoded() const { return data_; }

 private:
  GgufType type_ = GgufType::u8;
  GgufType element_ = GgufType::u8;
  uint64_t count_ = 0;
  std::span<const std::byte> data_;  // a scalar's bytes, a string's text, an array's elements as encoded
};

// A tensor type of ggml. `format` is none for the types this program does not compute with.
struct GgmlType {
  uint32_t id;
  std::string_view name;  // "Q4_K"
  int64_t block;          // elements a block
  int64_t block_bytes;
  std::optional<QuantFormat> format;
};
const GgmlType* find_ggml_type(uint32_t id);

struct GgufTensor {
  std::string_view name;
  const GgmlType* type = nullptr;
  std::vector<int64_t> shape;  // row-major (the reverse of the file's order): [rows, columns]
  std::span<const std::byte> bytes;
};

// The content of one file; every view points into the bytes it was parsed from.
struct GgufContent {
  uint32_t version = 0;
  std::map<std::string_view, GgufValue> metadata;
  std::map<std::string_view, GgufTensor> tensors;
};

// Parses one whole file held in `bytes`; `file` only names the source in errors. Errors, all with args file:
// file_kind.* (no GGUF at all), gguf.version (found), gguf.big_endian, gguf.truncated (at: the key, tensor or
// field; expected, found: bytes), gguf.value_type (key, found), gguf.nesting (key, limit), gguf.duplicate
// (name), gguf.alignment (found), gguf.dims (tensor, found), gguf.shape (tensor, found), gguf.tensor_type
// (tensor, found), gguf.block (tensor, expected, found), gguf.offset (tensor, found, alignment), gguf.overlap
// (tensor, other).
Result<GgufContent> parse_gguf(std::span<const std::byte> bytes, std::string_view file);

// A model file with all its parts mapped.
class GgufFile {
 public:
  // `path` is a whole file or any part (-00001-of-00003.gguf) of a split one; the parts lie in one folder.
  // Errors also: gguf.split_name (file, expected), gguf.split_missing (file, missing), gguf.split_value
  // (file, key, expected, found).
  static Result<std::shared_ptr<const GgufFile>> open(const std::filesystem::path& path);
  // A whole file that is already in memory; `holder` keeps `bytes` alive, `name` stands for the path.
  static Result<std::shared_ptr<const GgufFile>> from_memory(std::span<const std::byte> bytes,
                                                             std::shared_ptr<const void> holder,
                                                             const std::filesystem::path& name);

  const GgufValue* find(std::string_view key) const;
  const std::map<std::string_view, GgufValue>& metadata() const { return metadata_; }
  const std::map<std::string_view, GgufTensor>& tensors() const { return tensors_; }
  // The file, or the first part.
  const std::filesystem::path& path() const { return parts_.front().path; }
  uint32_t version() const { return version_; }
  size_t n_parts() const { return parts_.size(); }
  int64_t total_bytes() const;

 private:
  struct Part {
    std::filesystem::path path;
    std::span<const std::byte> bytes;
    std::shared_ptr<const void> holder;
    GgufContent content;  // moved out once it is added
  };
  GgufFile() = default;
  static Result<Part> open_part(const std::filesystem::path& path);
  Status add(Part part);

  std::vector<Part> parts_;
  std::map<std::string_view, GgufValue> metadata_;  // of the first part
  std::map<std::string_view, GgufTensor> tensors_;
  uint32_t version_ = 0;
};

}  // namespace qw
