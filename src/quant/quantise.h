// f32 numbers into blocks: the offline quantisers. Every block is fitted by least squares (fit.h), so that
// the error is as small as the format allows; where the mean squares of the inputs that meet each column are
// known (imatrix.h), errors count in their proportion. Layouts: backend/cpu/blocks. Test:
// tests/quant/quantise_test.cc
#pragma once

#include <cstddef>
#include <span>

#include "core/dtype.h"

namespace qw::quant {

// One row of whole blocks into row_bytes(format, x.size()) bytes. `importance`: a weight ≥ 0 of each column,
// or empty. q8_0 is that of ggml to the bit. False where a number is not finite or too large for the format.
// Formats: f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k q4_k q5_k q6_k iq4_nl iq4_xs mxfp4 tq1_0 tq2_0.
bool quantise_row(QuantFormat format, std::span<const float> x, std::span<const float> importance,
                  std::byte* out);

}  // namespace qw::quant
