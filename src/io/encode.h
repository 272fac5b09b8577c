// f32 numbers into the stored formats. Test: tests/io/encode_test.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/dtype.h"

namespace qw {

// To the nearest, ties to even; beyond the largest finite number: infinity.
uint16_t f16_bits(float v);
uint16_t bf16_bits(float v);

// Appends `values` in `format` (f32, f16, bf16 or q8_0, whose blocks must be whole). q8_0 as
// quantize_row_q8_0_ref of ggml: d = max|x| / 127, q = x · (1/d) rounded, halves away from zero, then d to
// f16. False where a finite number (or the scale of its block) is too large for the format.
bool encode(QuantFormat format, std::span<const float> values, std::vector<std::byte>& out);

}  // namespace qw
