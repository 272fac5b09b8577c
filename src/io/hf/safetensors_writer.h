// Writes a safetensors file whose tensors are known by name, dtype and shape in advance and whose bytes
// arrive in any order and any portions, so that logits larger than memory can be streamed. Test:
// tests/io/safetensors_test.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace qw {

struct SafetensorsPlan {
  std::string name;
  std::string dtype;  // one that safetensors_dtype_bytes knows
  std::vector<int64_t> shape;
};

// Writes to a temporary file beside `path`, which finish() renames over it: a reader or a crash sees the old
// file or the whole new one. A writer destroyed before finish() removes its temporary file.
class SafetensorsWriter {
 public:
  // Tensors are laid out as the reference crate does: wide dtypes first, then by name. Two plans of one name,
  // an unknown dtype or a negative extent are bugs of the caller. Errors: file.write (args file, reason).
  static Result<SafetensorsWriter> create(const std::filesystem::path& path,
                                          const std::vector<SafetensorsPlan>& plans,
                                          const std::map<std::string, std::string>& metadata = {});
  SafetensorsWriter(SafetensorsWriter&&) noexcept;
  SafetensorsWriter& operator=(SafetensorsWriter&&) noexcept;
  ~SafetensorsWriter();

  // Bytes of tensor `plan_index` (position in `plans`) from `offset` on. Each byte is to be written once.
  // Errors: file.write.
  Status write(size_t plan_index, int64_t offset, std::span<const std::byte> bytes);
  // The same for f32 tensors, counted in elements.
  Status write(size_t plan_index, int64_t first_element, std::span<const float> values);

  // Flushes to disk and renames. Every byte of every plan must have been written. Errors: file.write.
  Status finish();

 private:
  struct State;
  explicit SafetensorsWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace qw
