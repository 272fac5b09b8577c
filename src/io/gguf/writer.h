// The GGUF container, version 3: metadata and tensor table first, then the bytes of tensors in any order and
// portions. Spec: ggml/docs/gguf.md of ggml-org. What a model's file holds: gguf/export.h.
// Test: tests/io/gguf_writer_test.cc
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "core/dtype.h"
#include "io/gguf/gguf.h"

namespace qw {

// Keys in the order in which they are added, each once.
class GgufMetadata {
 public:
  void text(std::string_view key, std::string_view value);
  void u32(std::string_view key, uint32_t value);
  void i32(std::string_view key, int32_t value);
  void f32(std::string_view key, double value);
  void flag(std::string_view key, bool value);
  void texts(std::string_view key, std::span<const std::string_view> values);
  void ints(std::string_view key, std::span<const int32_t> values);
  // As it stands in another file.
  void value(std::string_view key, const GgufValue& value);
  void flags(std::string_view key, const std::vector<bool>& values);

  uint64_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }

 private:
  void begin(std::string_view key, uint32_t type);

  std::string bytes_;
  uint64_t count_ = 0;
};

struct GgufTensorPlan {
  std::string name;
  QuantFormat format = QuantFormat::f32;  // one that GGUF has
  std::vector<int64_t> shape;             // row-major: [rows, columns]; rows of whole blocks
  const GgmlType* type = nullptr;         // in the place of `format`, where a tensor is copied
};

// Appears whole at finish() (atomic_file.h).
class GgufWriter {
 public:
  // Errors: file.write (args file, reason).
  static Result<GgufWriter> create(const std::filesystem::path& path, const GgufMetadata& metadata,
                                   const std::vector<GgufTensorPlan>& plans);
  // Bytes of tensor `i` (position in `plans`) from `offset` on; each is to be written once. Errors:
  // file.write.
  Status write(size_t i, int64_t offset, std::span<const std::byte> bytes);
  // Every byte of every plan must have been written. Errors: file.write.
  Status finish();

 private:
  struct Span {
    int64_t begin = 0;  // in the file
    int64_t bytes = 0;
    int64_t written = 0;
  };
  GgufWriter(AtomicFile file, std::vector<Span> spans) : file_(std::move(file)), spans_(std::move(spans)) {}

  AtomicFile file_;
  std::vector<Span> spans_;
};

// Bytes of one tensor.
int64_t gguf_tensor_bytes(const GgufTensorPlan& plan);

}  // namespace qw
