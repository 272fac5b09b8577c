// Decoding of every block format, written once without an instruction set: what formats without a kernel of
// their own use, and what the vector kernels are held against. All formats decode in groups of 32 elements.
// Test: tests/backend/blocks_golden_test.cc
#pragma once

#include <cstdint>

#include "backend/cpu/kernel_table.h"

namespace qw::cpu {

// Elements [first, first + n) of a row of whole blocks; first and n are multiples of 32, `format` is no float
// format.
extern const float kNf4Values[16];     // of bitsandbytes
extern const float kBnbFp4Values[16];  // its fp4 is not e2m1 in order

void decode_groups(float* out, const uint8_t* row, Format format, int64_t first, int64_t n);

}  // namespace qw::cpu
