// The WeightSource of files: named tensors in mapped memory. Test: tests/io/checkpoint_test.cc
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "io/hf/row_packer.h"
#include "nn/weight_source.h"

namespace qw {

// The format of a safetensors dtype that a weight may have: F32, F16, BF16.
std::optional<QuantFormat> float_format(std::string_view dtype);

struct StoredTensor {
  QuantFormat format = QuantFormat::f32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> holder = {};
  std::string file;  // that it lies in, for errors
  // Where the file changed more than that: the bytes as Hugging Face has them, as many.
  using Restore = std::function<std::vector<std::byte>(const StoredTensor&)>;
  Restore restore = {};
  // Weight::input_order, where the file has the columns in another order and blocks span the places.
  std::vector<int32_t> input_order = {};
  int rotary_heads = 0;  // > 0: rows of so many heads are in GGUF's rotary order, and are put back when taken
  std::shared_ptr<const RowPacker> packer = {};  // makes the rows when taken; `bytes` are then only counted
  bool may_be_left = false;                      // changes nothing: a model need not ask for it
  // Of nvfp4, where the file scales a whole tensor: one number, or one for each matrix of a stack. Taken as
  // nvfp4_s.
  std::vector<float> scales = {};
};

// Hands tensors out where they lie in the file, without a copy, except where rows must be put in order or the
// file left the data unaligned for its element type.
class StoredWeights final : public WeightSource {
 public:
  StoredWeights(std::string file, std::map<std::string, StoredTensor, std::less<>> tensors)
      : file_(std::move(file)), tensors_(std::move(tensors)) {}

  ~StoredWeights() override;

  std::vector<std::string> names() const override;
  bool has(std::string_view name) const override { return tensors_.contains(name); }
  Result<WeightBytes> take(std::string_view name, std::span<const int64_t> shape) override;
  void ignore(std::string_view name) override;
  Status finish() override;

  const std::map<std::string, StoredTensor, std::less<>>& tensors() const { return tensors_; }

 private:
  Result<WeightBytes> bytes_of(std::string_view name, const StoredTensor& t);
  Result<WeightBytes> packed(std::string_view name, const StoredTensor& t);

  std::string file_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
  std::unique_ptr<ThreadPool> pool_;  // packs rows; made when the first weight needs it
};

}  // namespace qw
