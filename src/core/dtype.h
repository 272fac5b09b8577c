// Number types of tensors and storage formats of weights, each a closed enum with one traits table.
// Spec: block layouts as in GGUF (ggml-common.h names them block_q8_0, block_q4_0, block_q4_1). Test:
// tests/core/core_test.cc
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"

namespace qw {

// Element type of a tensor. f64 exists for the gradient checks; u8 holds the rows of quantised weights.
enum class DType : uint8_t { f32, f64, f16, bf16, i32, u8 };

struct DTypeTraits {
  std::string_view name;
  int bytes;
};
inline constexpr std::array<DTypeTraits, 6> kDTypeTraits{
    {{"f32", 4}, {"f64", 8}, {"f16", 2}, {"bf16", 2}, {"i32", 4}, {"u8", 1}}};
constexpr const DTypeTraits& traits(DType t) {
  return kDTypeTraits[static_cast<size_t>(t)];
}

// How the rows of a weight are stored, in the file and in memory alike. Blocks run along the last dimension
// (K). q8_0: f16 d, 32 × int8 q;                 w = d q q4_0: f16 d, 16 bytes of nibbles;         w = d (q −
// 8); element i < 16 is the low nibble of byte i, i + 16 the high one q4_1: f16 d, f16 m, 16 bytes of
// nibbles;  w = d q + m
enum class QuantFormat : uint8_t { f32, f64, f16, bf16, q8_0, q4_0, q4_1 };

struct QuantTraits {
  std::string_view name;
  int block;        // elements a block
  int block_bytes;  // bytes a block
  bool is_float;    // a plain float format: may be trained
};
inline constexpr std::array<QuantTraits, 7> kQuantTraits{{{"f32", 1, 4, true},
                                                          {"f64", 1, 8, true},
                                                          {"f16", 1, 2, true},
                                                          {"bf16", 1, 2, true},
                                                          {"q8_0", 32, 34, false},
                                                          {"q4_0", 32, 18, false},
                                                          {"q4_1", 32, 20, false}}};
constexpr const QuantTraits& traits(QuantFormat f) {
  return kQuantTraits[static_cast<size_t>(f)];
}

// Bytes of one row of `cols` elements; cols must be a multiple of the block (checked by whoever reads a
// file).
constexpr int64_t row_bytes(QuantFormat f, int64_t cols) {
  return cols / traits(f).block * traits(f).block_bytes;
}

// The tensor type that holds a float format; quantised formats are held as u8 rows.
constexpr DType storage_dtype(QuantFormat f) {
  switch (f) {
    case QuantFormat::f32:
      return DType::f32;
    case QuantFormat::f64:
      return DType::f64;
    case QuantFormat::f16:
      return DType::f16;
    case QuantFormat::bf16:
      return DType::bf16;
    default:
      return DType::u8;
  }
}

}  // namespace qw
