// Arena: bump allocator for the activations of one step. Reset every step; after the first steps it is one
// block, so that inference allocates nothing in steady state and addresses are fixed. Test:
// tests/core/core_test.cc
#pragma once

#include <vector>

#include "core/backend.h"
#include "core/tensor.h"

namespace qw {

class Arena {
 public:
  explicit Arena(Backend& backend) : backend_(backend) {}

  // Uninitialised, 64-byte aligned, valid until reset(). Ends the program where the device is out of memory:
  // the memory plan of the caller must have said so before.
  Tensor alloc(const Shape& shape, DType dtype);
  // A small host array copied to the device (positions, tables, ids).
  Tensor upload(std::span<const int32_t> values);
  Tensor upload_real(std::span<const float> values);  // as real()
  void reset();

  // A place to go back to: rewind() frees what was allocated since mark(), and those tensors must not be used
  // any more. Marks nest; reset() ends them.
  struct Mark {
    size_t block = 0, offset = 0, used = 0;
  };
  Mark mark() const { return {block_, offset_, used_}; }
  void rewind(const Mark& mark);

  size_t used_bytes() const { return used_; }  // since the last reset, less what was given back
  size_t peak_bytes() const { return peak_; }  // the most that was used at once since the last reset
  size_t reserved_bytes() const;

 private:
  Backend& backend_;
  std::vector<StoragePtr> blocks_;
  size_t block_ = 0;   // the one that is being filled; later ones are empty
  size_t offset_ = 0;  // into it
  size_t used_ = 0;
  size_t peak_ = 0;
};

}  // namespace qw
