// Symbolic shape checks at the door of an op: every letter binds at its first use and must agree afterwards.
#pragma once

#include <array>
#include <string_view>

#include "core/tensor.h"

namespace qw::ops {

// Dims d("rope"); d.arg("x", x, "THd").arg("table", table, "Tr2"); d['T'] is then the number of rows. Digits
// stand for themselves, '*' takes any size. A mismatch is a bug of the caller: QW_CHECK with op, argument,
// dimension, expected, got.
class Dims {
 public:
  explicit Dims(std::string_view op) : op_(op) { bound_.fill(-1); }

  Dims& arg(std::string_view name, const Tensor& t, std::string_view letters) {
    return arg(name, t.shape(), letters);
  }
  Dims& arg(std::string_view name, const Shape& shape, std::string_view letters);
  int64_t operator[](char letter) const { return bound_[static_cast<unsigned char>(letter)]; }

 private:
  std::string_view op_;
  std::array<int64_t, 128> bound_;
};

}  // namespace qw::ops
