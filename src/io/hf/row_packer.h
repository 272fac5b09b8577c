// Weights whose rows are made when they are taken: checkpoints that keep codes, scales and zero points in
// tensors of their own (GPTQ, AWQ, FP8, compressed-tensors, bitsandbytes) become rows of blocks.
// Test: tests/io/hf_quantised_test.cc, tests/golden/quantised_golden_test.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/dtype.h"

namespace qw {

class RowPacker {
 public:
  RowPacker(QuantFormat format, int64_t rows, int64_t cols) : format_(format), rows_(rows), cols_(cols) {}
  virtual ~RowPacker() = default;
  RowPacker(const RowPacker&) = delete;
  RowPacker& operator=(const RowPacker&) = delete;

  QuantFormat format() const { return format_; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t row_size() const { return row_bytes(format_, cols_); }

  // Rows [begin, end) into end − begin rows of row_size() bytes. May run on several threads at once.
  // False: a code stands for no number.
  virtual bool pack(int64_t begin, int64_t end, std::byte* out) const = 0;
  // Column j of the packed rows is column order[j] of the weight; empty: as they are.
  virtual std::vector<int32_t> input_order() const { return {}; }

 private:
  QuantFormat format_;
  int64_t rows_, cols_;
};

}  // namespace qw
