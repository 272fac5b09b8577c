// Formats with one scale a block.
#include <array>
#include <cstring>
#include <numeric>

#include "quant/blocks.h"
#include "quant/fit.h"

namespace qw::quant {
namespace {

// Writes v as f16 and answers what was written; not finite where it does not fit.
float put_half(uint8_t* out, float v) {
  const uint16_t h = f16_bits(v);
  std::memcpy(out, &h, 2);
  return half_value(h);
}

// Codes of 32 elements: nibbles to `low`, fifth bits to `high` where there are some.
void put_codes(const std::array<int, 32>& codes, uint8_t* low, uint8_t* high) {
  uint32_t bits = 0;
  for (size_t i = 0; i < 32; ++i) bits |= static_cast<uint32_t>(codes[i] >> 4 & 1) << i;
  if (high != nullptr) std::memcpy(high, &bits, 4);
  for (size_t i = 0; i < 16; ++i) low[i] = static_cast<uint8_t>((codes[i] & 15) | (codes[i + 16] & 15) << 4);
}

template <class Levels>
bool encode_scaled(const float* x, const float* w, uint8_t* scale, uint8_t* low, uint8_t* high) {
  const float d = put_half(scale, fit_scale<Levels>({x, w, 32}));
  const float inv = inverse(d);
  std::array<int, 32> codes;
  for (size_t i = 0; i < 32; ++i) codes[i] = Levels::code(inv * x[i]);
  put_codes(codes, low, high);
  return std::isfinite(d);
}

bool encode_line(const float* x, const float* w, int top, uint8_t* out, uint8_t* low, uint8_t* high) {
  const Line line = fit_line({x, w, 32}, top, true);
  const float d = put_half(out, line.scale), m = put_half(out + 2, line.low), inv = inverse(d);
  std::array<int, 32> codes;
  for (size_t i = 0; i < 32; ++i)
    codes[i] = nearest(bounded(inv * (x[i] - m), 0.0F, static_cast<float>(top)));
  put_codes(codes, low, high);
  return std::isfinite(d) && std::isfinite(m);
}

// The scale of −1, 0, 1: with the k largest |x| at ±d the gain is (Σ w |x|)² / Σ w, and every threshold is
// tried.
float fit_ternary(const float* x, const float* w, int n) {
  std::array<int, 256> order;
  std::iota(order.begin(), order.begin() + n, 0);
  std::sort(order.begin(), order.begin() + n, [x](int a, int b) { return std::abs(x[a]) > std::abs(x[b]); });
  double sum = 0, weight = 0, best = 0, scale = 0;
  for (int k = 0; k < n; ++k) {
    const int i = order[static_cast<size_t>(k)];
    sum += static_cast<double>(w[i]) * std::abs(static_cast<double>(x[i]));
    weight += static_cast<double>(w[i]);
    if (weight > 0 && sum * sum / weight > best) {
      best = sum * sum / weight;
      scale = sum / weight;
    }
  }
  return static_cast<float>(scale);
}

std::array<uint8_t, 256> ternary(const float* x, float d) {
  const float inv = inverse(d);
  std::array<uint8_t, 256> out;
  for (size_t i = 0; i < 256; ++i)
    out[i] = static_cast<uint8_t>(nearest(bounded(inv * x[i], -1.0F, 1.0F)) + 1);
  return out;
}

// Digits in base 3, the first the most significant, as the fraction of 256 that the decoder multiplies back.
uint8_t base3(const uint8_t* digits, int count, int stride) {
  int value = 0;
  for (int i = 0; i < 5; ++i) value = 3 * value + (i < count ? digits[i * stride] : 0);
  return static_cast<uint8_t>((value * 256 + 242) / 243);
}

}  // namespace

bool encode_q4_0(const float* x, const float* w, uint8_t* out) {
  return encode_scaled<Integers<-8, 7>>(x, w, out, out + 2, nullptr);
}
bool encode_q5_0(const float* x, const float* w, uint8_t* out) {
  return encode_scaled<Integers<-16, 15>>(x, w, out, out + 6, out + 2);
}
bool encode_iq4_nl(const float* x, const float* w, uint8_t* out) {
  return encode_scaled<Iq4Levels>(x, w, out, out + 2, nullptr);
}
bool encode_q4_1(const float* x, const float* w, uint8_t* out) {
  return encode_line(x, w, 15, out, out + 4, nullptr);
}
bool encode_q5_1(const float* x, const float* w, uint8_t* out) {
  return encode_line(x, w, 31, out, out + 8, out + 4);
}

// The scale is a power of two: those next to the one that holds the largest number are tried.
bool encode_mxfp4(const float* x, const float* w, uint8_t* out) {
  float top = 0;
  for (int i = 0; i < 32; ++i) top = std::max(top, std::abs(x[i]));
  const int usual = top > 0 ? std::ilogb(top) - 2 + 127 : 0;  // 6 is the largest of e2m1
  double least = INFINITY;
  int best = 0;
  for (int e = std::max(usual - 1, 0); e <= std::clamp(usual + 1, 0, 254); ++e) {
    const float d = std::ldexp(1.0F, e - 128);
    double error = 0;
    for (int i = 0; i < 32; ++i) {
      const float r = x[i] - d * Fp4Levels::level(Fp4Levels::code(x[i] / d));
      error += static_cast<double>(w[i]) * static_cast<double>(r) * static_cast<double>(r);
    }
    if (error >= least) continue;
    least = error;
    best = e;
  }
  out[0] = static_cast<uint8_t>(best);
  const float d = std::ldexp(1.0F, best - 128);
  std::array<int, 32> codes;
  for (size_t i = 0; i < 32; ++i) codes[i] = Fp4Levels::code(x[i] / d);
  put_codes(codes, out + 1, nullptr);
  return true;
}

bool encode_tq1_0(const float* x, const float* w, uint8_t* out) {
  const float d = put_half(out + 52, fit_ternary(x, w, 256));
  const auto q = ternary(x, d);
  for (int i = 0; i < 32; ++i) out[i] = base3(&q[static_cast<size_t>(i)], 5, 32);
  for (int i = 0; i < 16; ++i) out[32 + i] = base3(&q[static_cast<size_t>(160 + i)], 5, 16);
  for (int i = 0; i < 4; ++i) out[48 + i] = base3(&q[static_cast<size_t>(240 + i)], 4, 4);
  return std::isfinite(d);
}

bool encode_tq2_0(const float* x, const float* w, uint8_t* out) {
  const float d = put_half(out + 64, fit_ternary(x, w, 256));
  const auto q = ternary(x, d);
  for (size_t i = 0; i < 64; ++i) {
    const size_t at = i / 32 * 128 + i % 32;
    out[i] = static_cast<uint8_t>(q[at] | q[at + 32] << 2 | q[at + 64] << 4 | q[at + 96] << 6);
  }
  return std::isfinite(d);
}

}  // namespace qw::quant
