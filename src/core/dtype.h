// Number types of tensors and storage formats of weights, each a closed enum with one traits table.
// Test: tests/core/core_test.cc
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
// (K); all block formats decode in groups of 32 elements. Their layouts stand beside their decoders:
// backend/cpu/blocks. From q8_0 to q2_0 they are those of ggml, by its names; nvfp4_s is nvfp4
// with the scale of its tensor before every block.
// The formats from int4_32 on hold what folders of the hub call GPTQ, AWQ, compressed-tensors, FP8 and
// bitsandbytes; the number behind the name is the block (docs/io.md, "Quantised folders"). Of 32 nibbles
// elements 0 … 15 are the low ones.
// int4: u32 head: the upper 24 bits of f32 d, then zero z; nibbles     w = d (q − z), d of f16 or bf16: exact
// int8: f32 d, f32 z, bytes;                                           w = d (q − z)
// e4m3: f32 d, bytes (e4m3fn);                                         w = d q
// nf4, fp4: f32 d, nibbles;                                            w = d table[q]
// scb8: f32 d, int8;                                                   w = (d q) (1/127)
enum class QuantFormat : uint8_t {
  f32,
  f64,
  f16,
  bf16,
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq1_s,
  iq1_m,
  iq2_xxs,
  iq2_xs,
  iq2_s,
  iq3_xxs,
  iq3_s,
  iq4_nl,
  iq4_xs,
  mxfp4,
  nvfp4,
  tq1_0,
  tq2_0,
  q1_0,
  q2_0,
  int4_32,
  int4_64,
  int4_128,
  int8_32,
  int8_128,
  e4m3_32,
  e4m3_128,
  nf4_32,
  nf4_64,
  fp4_32,
  fp4_64,
  scb8_32,
  scb8_128,
  nvfp4_s
};

struct QuantTraits {
  std::string_view name;
  int block;        // elements a block
  int block_bytes;  // bytes a block
  bool is_float;    // a plain float format: may be trained
};
inline constexpr auto kQuantTraits = std::to_array<QuantTraits>({
    {"f32", 1, 4, true},           {"f64", 1, 8, true},          {"f16", 1, 2, true},
    {"bf16", 1, 2, true},          {"q8_0", 32, 34, false},      {"q4_0", 32, 18, false},
    {"q4_1", 32, 20, false},       {"q5_0", 32, 22, false},      {"q5_1", 32, 24, false},
    {"q2_k", 256, 84, false},      {"q3_k", 256, 110, false},    {"q4_k", 256, 144, false},
    {"q5_k", 256, 176, false},     {"q6_k", 256, 210, false},    {"iq1_s", 256, 50, false},
    {"iq1_m", 256, 56, false},     {"iq2_xxs", 256, 66, false},  {"iq2_xs", 256, 74, false},
    {"iq2_s", 256, 82, false},     {"iq3_xxs", 256, 98, false},  {"iq3_s", 256, 110, false},
    {"iq4_nl", 32, 18, false},     {"iq4_xs", 256, 136, false},  {"mxfp4", 32, 17, false},
    {"nvfp4", 64, 36, false},      {"tq1_0", 256, 54, false},    {"tq2_0", 256, 66, false},
    {"q1_0", 128, 18, false},      {"q2_0", 64, 18, false},      {"int4_32", 32, 20, false},
    {"int4_64", 64, 36, false},    {"int4_128", 128, 68, false}, {"int8_32", 32, 40, false},
    {"int8_128", 128, 136, false}, {"e4m3_32", 32, 36, false},   {"e4m3_128", 128, 132, false},
    {"nf4_32", 32, 20, false},     {"nf4_64", 64, 36, false},    {"fp4_32", 32, 20, false},
    {"fp4_64", 64, 36, false},     {"scb8_32", 32, 36, false},   {"scb8_128", 128, 132, false},
    {"nvfp4_s", 64, 40, false},
});
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
