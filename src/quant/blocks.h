// One block each, for quantise.cc: `x` and `w` are as many as the block has elements, `out` its bytes. False
// where a scale is too large for f16.
#pragma once

#include <cstdint>

namespace qw::quant {

bool encode_q4_0(const float* x, const float* w, uint8_t* out);
bool encode_q4_1(const float* x, const float* w, uint8_t* out);
bool encode_q5_0(const float* x, const float* w, uint8_t* out);
bool encode_q5_1(const float* x, const float* w, uint8_t* out);
bool encode_iq4_nl(const float* x, const float* w, uint8_t* out);
bool encode_mxfp4(const float* x, const float* w, uint8_t* out);
bool encode_tq1_0(const float* x, const float* w, uint8_t* out);
bool encode_tq2_0(const float* x, const float* w, uint8_t* out);
bool encode_q2_k(const float* x, const float* w, uint8_t* out);
bool encode_q3_k(const float* x, const float* w, uint8_t* out);
bool encode_q4_k(const float* x, const float* w, uint8_t* out);
bool encode_q5_k(const float* x, const float* w, uint8_t* out);
bool encode_q6_k(const float* x, const float* w, uint8_t* out);
bool encode_iq4_xs(const float* x, const float* w, uint8_t* out);

}  // namespace qw::quant
