// Least squares for blocks: the scale, or the scale and offset, with which few levels come closest to given
// numbers. Candidates are tried over a grid, the best is improved by rounding and refitting in turn.
// Weighted: the error of element i counts w[i]. Test: tests/quant/quantise_test.cc
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "io/encode.h"

namespace qw::quant {

inline float half_value(uint16_t h) {
  const uint32_t sign = (h & 0x8000u) << 16, rest = h & 0x7fffu;
  if (rest >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  if (rest >= 0x400u) return std::bit_cast<float>(sign | ((rest << 13) + (112u << 23)));
  const float small = static_cast<float>(rest) * 0x1p-24f;
  return sign != 0 ? -small : small;
}
// What is left of x in f16.
inline float through_half(float x) {
  return half_value(f16_bits(x));
}
// The nearest whole number, for |v| < 2^22.
inline int nearest(float v) {
  return std::bit_cast<int>(v + 12582912.0F) - std::bit_cast<int>(12582912.0F);
}
// Into [low, high]; a NaN becomes low.
inline float bounded(float v, float low, float high) {
  return v > low ? (v < high ? v : high) : low;
}
inline float inverse(float v) {
  return v != 0 ? 1 / v : 0.0F;
}

// Sets of levels: code() is the number of the level closest to v, level() its value; the outermost are kLow
// and kHigh, and a scale that puts the largest number anywhere within kSpread of one of them is tried.
template <int kLowest, int kHighest>
struct Integers {
  static constexpr float kLow = kLowest, kHigh = kHighest;
  static constexpr float kSpread = kHighest < 4 ? 0.3F : kHighest < 8 ? 0.2F : kHighest < 16 ? 0.1F : 0.04F;
  static int code(float v) { return nearest(bounded(v, kLow, kHigh)) - kLowest; }
  static float level(int code) { return static_cast<float>(code + kLowest); }
};

// The code book of iq4_nl and iq4_xs.
struct Iq4Levels {
  static constexpr float kLow = -127, kHigh = 113, kSpread = 0.2F;
  static constexpr std::array<int8_t, 16> kLevels{-127, -104, -83, -65, -49, -35, -22, -10,
                                                  1,    13,   25,  38,  53,  69,  89,  113};
  // Levels are whole numbers, so the whole number closest to v has the same closest level.
  static constexpr std::array<uint8_t, 241> kCodes = [] {
    std::array<uint8_t, 241> codes{};
    for (int v = -127; v <= 113; ++v) {
      int best = 0;
      for (int i = 1; i < 16; ++i)
        if (std::abs(kLevels[static_cast<size_t>(i)] - v) < std::abs(kLevels[static_cast<size_t>(best)] - v))
          best = i;
      codes[static_cast<size_t>(v + 127)] = static_cast<uint8_t>(best);
    }
    return codes;
  }();
  static int code(float v) { return kCodes[static_cast<size_t>(nearest(bounded(v, kLow, kHigh)) + 127)]; }
  static float level(int code) { return static_cast<float>(kLevels[static_cast<size_t>(code)]); }
};

// Twice the values of e2m1.
struct Fp4Levels {
  static constexpr std::array<float, 8> kLevels{0, 1, 2, 3, 4, 6, 8, 12};
  static int code(float v) {
    const float a = std::abs(v);
    const int i = (a > 0.5F) + (a > 1.5F) + (a > 2.5F) + (a > 3.5F) + (a > 5) + (a > 7) + (a > 10);
    return v < 0 && i > 0 ? i + 8 : i;
  }
  static float level(int code) { return code < 8 ? kLevels[static_cast<size_t>(code)] : -level(code - 8); }
};

struct Block {
  const float* x;
  const float* w;
  int n;
};

// The sums by which a scale is judged: Σ w x q and Σ w q². With the best scale the squared error is
// Σ w x² − xq² / qq, so the larger gain() wins.
struct ScaleFit {
  float xq = 0, qq = 0;
  float scale() const { return qq > 0 ? xq / qq : 0; }
  float gain() const { return qq > 0 ? xq * xq / qq : 0; }
};
template <class Levels>
ScaleFit fit_at(const Block& b, float inverse_scale) {
  ScaleFit f;
  for (int i = 0; i < b.n; ++i) {
    const float q = Levels::level(Levels::code(inverse_scale * b.x[i]));
    f.xq += b.w[i] * b.x[i] * q;
    f.qq += b.w[i] * q * q;
  }
  return f;
}

// The scale d (of either sign) for which Σ w (x − d · level)² is least; 0 where all x are 0.
template <class Levels>
float fit_scale(const Block& b) {
  constexpr int kSteps = 8;
  float top = 0;
  for (int i = 0; i < b.n; ++i)
    if (std::abs(b.x[i]) > std::abs(top)) top = b.x[i];
  if (!(std::abs(top) > 1e-30F)) return 0;
  ScaleFit best;
  for (const float end : {Levels::kLow, Levels::kHigh})
    for (int s = -kSteps; s <= kSteps; ++s) {
      const float at = end * (1 + Levels::kSpread * static_cast<float>(s) / kSteps);
      const ScaleFit f = fit_at<Levels>(b, at / top);
      if (f.gain() > best.gain()) best = f;
    }
  for (int i = 0; i < 3; ++i) {
    const ScaleFit f = fit_at<Levels>(b, inverse(best.scale()));
    if (!(f.gain() > best.gain())) break;
    best = f;
  }
  return best.scale();
}

// x ≈ scale · q + low with q in 0 … top.
struct Line {
  float scale = 0, low = 0;
};
struct LineFit {
  Line line;
  double error = 0;
};
// The best line for the q that `guess` gives; `low` stays ≤ 0 unless it is free.
inline LineFit refit(const Block& b, int top, Line guess, bool low_is_free) {
  double w = 0, wq = 0, wqq = 0, wy = 0, wyq = 0, wyy = 0;
  const float inv = inverse(guess.scale), most = static_cast<float>(top);
  for (int i = 0; i < b.n; ++i) {
    const float y = b.x[i] - guess.low, wi = b.w[i];
    const float q = static_cast<float>(nearest(bounded(inv * y, 0.0F, most)));
    w += static_cast<double>(wi);
    wq += static_cast<double>(wi * q);
    wqq += static_cast<double>(wi * q * q);
    wy += static_cast<double>(wi * y);
    wyq += static_cast<double>(wi * y * q);
    wyy += static_cast<double>(wi * y * y);
  }
  const double det = w * wqq - wq * wq;
  double scale = det > 0 ? (w * wyq - wq * wy) / det : 0.0;
  double low = det > 0 ? (wqq * wy - wq * wyq) / det : (w > 0 ? wy / w : 0.0);  // on top of guess.low
  if (!low_is_free && low + static_cast<double>(guess.low) > 0) {
    low = -static_cast<double>(guess.low);
    scale = wqq > 0 ? (wyq - low * wq) / wqq : 0.0;
  }
  const double error =
      wyy - 2 * scale * wyq - 2 * low * wy + scale * scale * wqq + 2 * scale * low * wq + low * low * w;
  return {{static_cast<float>(scale), static_cast<float>(low) + guess.low}, error};
}

inline Line fit_line(const Block& b, int top, bool low_is_free) {
  float low = b.x[0], high = b.x[0];
  for (int i = 1; i < b.n; ++i) {
    low = std::min(low, b.x[i]);
    high = std::max(high, b.x[i]);
  }
  if (!low_is_free) low = std::min(low, 0.0F);
  if (!(high - low > 1e-30F)) return {0, low};
  LineFit best{{}, INFINITY};
  for (int s = -8; s <= 12; ++s) {  // levels more or fewer over the range: clipped ends, or unused ones
    const float levels = static_cast<float>(top) + 0.1F * static_cast<float>(s);
    const LineFit f = refit(b, top, {(high - low) / levels, low}, low_is_free);
    if (f.error < best.error) best = f;
  }
  for (int i = 0; i < 4; ++i) {
    const LineFit f = refit(b, top, best.line, low_is_free);
    if (!(f.error < best.error)) break;
    best = f;
  }
  return best.line;
}

}  // namespace qw::quant
