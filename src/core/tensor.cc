#include "core/tensor.h"

#include <fmt/ranges.h>

namespace qw {

int64_t Shape::elements() const {
  int64_t n = 1;
  for (const int64_t d : dims()) n *= d;
  return n;
}

std::string Shape::str() const {
  return fmt::format("[{}]", fmt::join(dims(), ", "));
}

Tensor::Tensor(void* device, const Shape& shape, DType dtype)
    : data_(static_cast<std::byte*>(device)), shape_(shape), dtype_(dtype) {
  int64_t step = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides_[static_cast<size_t>(i)] = step;
    step *= shape[i];
  }
}

Tensor::Tensor(StoragePtr storage, size_t offset, const Shape& shape, DType dtype)
    : Tensor(static_cast<std::byte*>(storage->device_ptr()) + offset, shape, dtype) {
  QW_CHECK(offset + bytes() <= storage->bytes(), "tensor {} at {} does not fit {} bytes", shape.str(), offset,
           storage->bytes());
  storage_ = std::move(storage);
}

int64_t Tensor::stride(int i) const {
  const int k = i < 0 ? i + rank() : i;
  QW_CHECK(k >= 0 && k < rank(), "stride {} of a tensor of rank {}", i, rank());
  return strides_[static_cast<size_t>(k)];
}

bool Tensor::contiguous() const {
  int64_t step = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (dim(i) != 1 && stride(i) != step) return false;
    step *= dim(i);
  }
  return true;
}

Tensor Tensor::view(const Shape& shape) const {
  QW_CHECK(contiguous(), "view of a strided tensor {}", shape_.str());
  QW_CHECK(shape.elements() == elements(), "view of {} as {}", shape_.str(), shape.str());
  Tensor t(data_, shape, dtype_);
  t.storage_ = storage_;
  t.tape_id_ = tape_id_;
  return t;
}

Tensor Tensor::slice(int dim_index, int64_t begin, int64_t length) const {
  QW_CHECK(begin >= 0 && length >= 0 && begin + length <= dim(dim_index),
           "slice [{}, {}) of dimension {} of {}", begin, begin + length, dim_index, shape_.str());
  Tensor t = *this;
  t.data_ += begin * stride(dim_index) * traits(dtype_).bytes;
  t.shape_[dim_index] = length;
  if (tape_id_ != kConstant) t.tape_id_ = kDetached;
  return t;
}

Tensor Tensor::transpose(int a, int b) const {
  Tensor t = *this;
  const auto ia = static_cast<size_t>(a < 0 ? a + rank() : a);
  const auto ib = static_cast<size_t>(b < 0 ? b + rank() : b);
  std::swap(t.shape_[a], t.shape_[b]);
  std::swap(t.strides_[ia], t.strides_[ib]);
  if (tape_id_ != kConstant) t.tape_id_ = kDetached;
  return t;
}

Tensor Tensor::expand(int64_t n) const {
  QW_CHECK(rank() == 1 && dim(0) == 1, "expand of {}", shape_.str());
  Tensor t = *this;
  t.shape_[0] = n;
  t.strides_[0] = 0;
  if (tape_id_ != kConstant) t.tape_id_ = kDetached;
  return t;
}

}  // namespace qw
