#include "core/arena.h"

#include <algorithm>

namespace qw {
namespace {

constexpr size_t kAlign = 64;
constexpr size_t kFirstBlock = size_t{1} << 20;

}  // namespace

Tensor Arena::alloc(const Shape& shape, DType dtype) {
  const size_t bytes =
      (static_cast<size_t>(shape.elements()) * static_cast<size_t>(traits(dtype).bytes) + kAlign - 1) /
      kAlign * kAlign;
  while (blocks_.empty() || offset_ + bytes > blocks_[block_]->bytes()) {
    if (block_ + 1 >= blocks_.size()) {
      const size_t grow = blocks_.empty() ? kFirstBlock : 2 * blocks_.back()->bytes();
      auto block = backend_.alloc(std::max({bytes, grow, kAlign}));
      QW_CHECK(block.has_value(), "out of memory for {} bytes of activations", bytes);
      blocks_.push_back(*std::move(block));
      block_ = blocks_.size() - 1;
    } else {
      ++block_;
    }
    offset_ = 0;
  }
  Tensor t(static_cast<std::byte*>(blocks_[block_]->device_ptr()) + offset_, shape, dtype);
  offset_ += bytes;
  used_ += bytes;
  peak_ = std::max(peak_, used_);
  return t;
}

void Arena::rewind(const Mark& mark) {
  QW_CHECK(mark.used <= used_, "a mark of {} bytes in an arena that uses {}", mark.used, used_);
  block_ = mark.block;
  offset_ = mark.offset;
  used_ = mark.used;
}

Tensor Arena::upload(std::span<const int32_t> values) {
  const Tensor t = alloc({static_cast<int64_t>(values.size())}, DType::i32);
  if (!values.empty()) backend_.upload(t, values.data());
  return t;
}

Tensor Arena::upload_real(std::span<const float> values) {
  const Tensor t = alloc({static_cast<int64_t>(values.size())}, backend_.real());
  if (backend_.real() == DType::f64) {
    const std::vector<double> wide(values.begin(), values.end());
    backend_.upload(t, wide.data());
  } else {
    backend_.upload(t, values.data());
  }
  return t;
}

void Arena::reset() {
  if (blocks_.size() > 1) {
    const size_t total = reserved_bytes();
    blocks_.clear();
    auto block = backend_.alloc(total);
    QW_CHECK(block.has_value(), "out of memory for {} bytes of activations", total);
    blocks_.push_back(*std::move(block));
  }
  block_ = 0;
  offset_ = 0;
  used_ = 0;
  peak_ = 0;
}

size_t Arena::reserved_bytes() const {
  size_t n = 0;
  for (const StoragePtr& b : blocks_) n += b->bytes();
  return n;
}

}  // namespace qw
