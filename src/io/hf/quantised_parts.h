// The tensors that together make one quantised weight, found by name, checked and counted as used.
// Test: tests/io/hf_quantised_test.cc
#pragma once

#include <cstring>
#include <initializer_list>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "io/hf/safetensors.h"

namespace qw {

// One tensor of a file.
class Part {
 public:
  Part() = default;
  explicit Part(const SafetensorsSet::Item& item) : file_(item.file), tensor_(item.tensor) {}

  explicit operator bool() const { return tensor_ != nullptr; }
  const std::string& dtype() const { return tensor_->dtype; }
  const std::vector<int64_t>& shape() const { return tensor_->shape; }
  int64_t elements() const;
  std::string file() const { return file_->path().string(); }
  std::shared_ptr<const void> holder() const { return file_; }
  std::string_view text() const;
  const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(tensor_->bytes.data()); }
  // Element i; files may leave data unaligned.
  template <class T>
  T load(int64_t i) const {
    T x;
    std::memcpy(&x, bytes() + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return x;
  }
  // Element i of a tensor of F32, F16 or BF16.
  float number(int64_t i) const;

 private:
  std::shared_ptr<const SafetensorsFile> file_;
  const SafetensorsTensor* tensor_ = nullptr;
};

class Parts {
 public:
  explicit Parts(const SafetensorsSet& set) : set_(set) {}

  const SafetensorsSet& set() const { return set_; }
  const std::set<std::string, std::less<>>& used() const { return used_; }

  // The tensor `name`, which then counts as used; an empty Part where there is none.
  Part find(const std::string& name);
  bool has(const std::string& name) const { return set_.tensors.contains(name); }
  // One that must be there for `of`. Errors: hf.quant_missing (args file, tensor, missing).
  Result<Part> need(const std::string& name, const std::string& of);

 private:
  const SafetensorsSet& set_;
  std::set<std::string, std::less<>> used_;
};

// The part has one of the types and this shape. Errors: hf.quant_tensor (args file, tensor, expected, found).
Status expect(const Part& part, std::string_view name, std::initializer_list<std::string_view> dtypes,
              std::initializer_list<int64_t> shape);
// The same for F32, F16 or BF16.
Status expect_floats(const Part& part, std::string_view name, std::initializer_list<int64_t> shape);
// "I32 [8, 64]" as found, with what was expected instead.
Error unexpected_tensor(const Part& part, std::string_view name, std::string_view expected);

// Scales of blocks of rows_per × cols_per elements of a matrix, [n, cols] of them.
struct ScaleGrid {
  Part values = {};
  int64_t cols = 1;
  int64_t rows_per = 1;
  int64_t cols_per = 1;

  float at(int64_t row, int64_t col) const { return values.number(row / rows_per * cols + col / cols_per); }
};

}  // namespace qw
