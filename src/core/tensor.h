// Tensor: a cheap handle on device memory: address, shape of up to five dimensions, strides, type, tape id.
// The same type serves inference and training. Host code never reads the memory: device_ptr() is for backends
// alone (the ctest `layers` holds this). Test: tests/core/core_test.cc
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>

#include "base/check.h"
#include "core/dtype.h"

namespace qw {

inline constexpr int kMaxRank = 5;

// Tape ids: a constant, and a strided view of a recorded tensor, which no op may silently treat as a
// constant.
inline constexpr int kConstant = -1;
inline constexpr int kDetached = -2;

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
    QW_CHECK(rank_ <= kMaxRank, "rank {} above {}", rank_, kMaxRank);
    for (int i = 0; i < rank_; ++i) dims_[static_cast<size_t>(i)] = dims[static_cast<size_t>(i)];
  }

  int rank() const { return rank_; }
  // Dimension i; negative counts from the end.
  int64_t operator[](int i) const { return dims_[index(i)]; }
  int64_t& operator[](int i) { return dims_[index(i)]; }
  int64_t elements() const;
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }
  std::string str() const;  // "[7, 64]"
  friend bool operator==(const Shape& a, const Shape& b) {
    return std::equal(a.dims().begin(), a.dims().end(), b.dims().begin(), b.dims().end());
  }

 private:
  size_t index(int i) const {
    const int k = i < 0 ? i + rank_ : i;
    QW_CHECK(k >= 0 && k < rank_, "dimension {} of a tensor of rank {}", i, rank_);
    return static_cast<size_t>(k);
  }
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

// A block of device memory that somebody owns: a backend's allocation, or a mapped file lent to it.
class Storage {
 public:
  Storage(void* data, size_t bytes, std::shared_ptr<const void> holder)
      : data_(data), bytes_(bytes), holder_(std::move(holder)) {}
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* device_ptr() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_;
  size_t bytes_;
  std::shared_ptr<const void> holder_;  // frees or unmaps the memory with its last reference
};
using StoragePtr = std::shared_ptr<Storage>;

class Tensor {
 public:
  Tensor() = default;  // the empty tensor: defined() is false
  // A contiguous tensor at `offset` bytes into `storage`.
  Tensor(StoragePtr storage, size_t offset, const Shape& shape, DType dtype);
  // A contiguous tensor in memory that somebody else keeps alive (the arena).
  Tensor(void* device, const Shape& shape, DType dtype);

  bool defined() const { return data_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t dim(int i) const { return shape_[i]; }
  int64_t stride(int i) const;  // in elements
  int64_t elements() const { return shape_.elements(); }
  DType dtype() const { return dtype_; }
  size_t bytes() const { return static_cast<size_t>(elements()) * static_cast<size_t>(traits(dtype_).bytes); }
  bool contiguous() const;
  // The last dimension is dense: rows can be read as arrays.
  bool rows_dense() const { return rank() == 0 || stride(-1) == 1 || dim(-1) <= 1; }
  void* device_ptr() const { return data_; }

  // A view of the same elements keeps its place on the tape: its gradient is that of the whole, reshaped.
  // Contiguous only.
  Tensor view(const Shape& shape) const;
  Tensor heads(int n, int head_dim) const { return view({dim(0), n, head_dim}); }  // [T, n·hd] → [T, n, hd]
  Tensor merge_heads() const { return view({dim(0), elements() / dim(0)}); }  // [T, n, hd] → [T, n·hd]
  // Parts and permutations of a recorded tensor may not be recorded from again (kDetached): Tape refuses them
  // by name.
  Tensor slice(int dim, int64_t begin, int64_t length) const;  // [begin, begin + length) of one dimension
  Tensor transpose(int a, int b) const;
  Tensor expand(int64_t n) const;  // [1] seen as [n], stride 0

  int tape_id() const { return tape_id_; }
  void set_tape_id(int id) { tape_id_ = id; }

 private:
  std::byte* data_ = nullptr;
  Shape shape_;
  std::array<int64_t, kMaxRank> strides_{};
  DType dtype_ = DType::f32;
  int tape_id_ = kConstant;
  StoragePtr storage_;  // null for arena memory
};

}  // namespace qw
