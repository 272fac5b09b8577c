// WeightSource: where a model's tensors come from (a safetensors folder, a GGUF file, a test). io/ implements
// it, the loading Visitor (nn/load.h) asks it. Every tensor is consumed or explicitly ignored; leftovers are
// an error.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/dtype.h"

namespace qw {

// The stored bytes of one tensor, row-major, rows of row_bytes(format, last dimension). `holder` keeps
// `bytes` alive.
struct WeightBytes {
  QuantFormat format;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> holder;
  std::vector<int32_t> input_order = {};  // Weight::input_order; empty: columns lie as they are
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;

  // The names still there, sorted.
  virtual std::vector<std::string> names() const = 0;
  virtual bool has(std::string_view name) const = 0;
  // Hands out a tensor and marks it consumed. Errors: weights.missing (args file, tensor), weights.shape
  // (args file, tensor, expected, found).
  virtual Result<WeightBytes> take(std::string_view name, std::span<const int64_t> shape) = 0;
  // Marks a tensor as known and unused; nothing happens where it is absent.
  virtual void ignore(std::string_view name) = 0;
  // Errors: weights.leftover (args file, tensor = the first names, count), if a tensor was neither taken nor
  // ignored.
  // `*.rotary_emb.inv_freq` is always let pass.
  virtual Status finish() = 0;
};

}  // namespace qw
