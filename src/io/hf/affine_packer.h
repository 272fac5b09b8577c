// Integer codes with a scale and a zero point for each group of columns, w = scale · (code − zero), as rows
// of int4_* or int8_* blocks (core/dtype.h). Test: tests/io/hf_quantised_test.cc
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "io/hf/row_packer.h"

namespace qw {

// What a file says of such a matrix.
class AffineCodes {
 public:
  virtual ~AffineCodes() = default;
  // Codes of rows [begin, begin + n), n ≤ kTileRows, columns in the order of the file: row i at out + i ·
  // cols.
  virtual void codes(int64_t begin, int64_t n, uint8_t* out) const = 0;
  virtual float scale(int64_t row, int64_t group) const = 0;
  virtual int zero(int64_t row, int64_t group) const = 0;  // 0 … 256

  static constexpr int64_t kTileRows = 16;
};

struct AffineShape {
  int64_t rows = 0, cols = 0;
  int64_t group = 0;                // columns a group; divides cols, a multiple of 32
  int bits = 4;                     // 4 or 8
  bool exact_scales = true;         // of 16 bits: scale · code is exact
  std::vector<int32_t> order = {};  // column j of the groups is column order[j] of the file; empty: the same
};

// The format the rows get: the widest block that divides a group; int4 keeps its zero point in bits that only
// a scale of f16 or bf16 leaves free.
QuantFormat affine_format(const AffineShape& shape);

class AffinePacker final : public RowPacker {
 public:
  AffinePacker(AffineShape shape, std::unique_ptr<const AffineCodes> codes);

  bool pack(int64_t begin, int64_t end, std::byte* out) const override;
  std::vector<int32_t> input_order() const override { return shape_.order; }

 private:
  void pack_row(int64_t row, const uint8_t* codes, uint8_t* out) const;

  AffineShape shape_;
  std::unique_ptr<const AffineCodes> codes_;
};

}  // namespace qw
