// Super-blocks of 256: scales of 16 or 32 elements, themselves whole numbers times an f16. First each group
// is fitted alone; then, in turn, the whole numbers are chosen by the error that their neighbours make, and
// the f16 are fitted to the codes.
#include <array>
#include <cstring>

#include "quant/blocks.h"
#include "quant/fit.h"

namespace qw::quant {
namespace {

constexpr int kElements = 256;
constexpr int kRounds = 2;

// --- scale alone: x ≈ d · s · level(code) ---

struct Scaled {
  float d = 0;
  std::array<int, 16> scales{};
  std::array<uint8_t, kElements> codes{};
  double error = INFINITY;
};

template <class Levels>
double error_at(const Block& b, float scale) {
  const float inv = inverse(scale);
  float error = 0;
  for (int i = 0; i < b.n; ++i) {
    const float r = b.x[i] - scale * Levels::level(Levels::code(inv * b.x[i]));
    error += b.w[i] * r * r;
  }
  return static_cast<double>(error);
}

// Groups of kGroup with scales kLow … kHigh.
template <class Levels, int kGroup, int kLow, int kHigh>
class ScaledBlocks {
 public:
  static bool encode(const float* x, const float* w, Scaled& out) {
    constexpr int kGroups = kElements / kGroup;
    std::array<float, kGroups> fits;
    float top = 0;
    for (int g = 0; g < kGroups; ++g) {
      fits[static_cast<size_t>(g)] = fit_scale<Levels>({x + g * kGroup, w + g * kGroup, kGroup});
      if (std::abs(fits[static_cast<size_t>(g)]) > std::abs(top)) top = fits[static_cast<size_t>(g)];
    }
    float d = through_half(top / static_cast<float>(kLow));
    for (int round = 0; round < kRounds; ++round) {
      Scaled now;
      now.d = d;
      now.error = 0;
      for (int g = 0; g < kGroups; ++g) choose(x, w, g, fits[static_cast<size_t>(g)], now);
      const float next = through_half(fit_d(x, w, now));
      if (now.error < out.error) out = now;
      if (next == d) break;
      d = next;
    }
    return std::isfinite(out.d);
  }

 private:
  static void choose(const float* x, const float* w, int g, float fit, Scaled& now) {
    const Block b{x + g * kGroup, w + g * kGroup, kGroup};
    const int middle =
        nearest(bounded(fit * inverse(now.d), static_cast<float>(kLow), static_cast<float>(kHigh)));
    double least = INFINITY;
    int best = middle;
    for (int s = std::max(middle - 1, kLow); s <= std::min(middle + 1, kHigh); ++s) {
      const double error = error_at<Levels>(b, now.d * static_cast<float>(s));
      if (error >= least) continue;
      least = error;
      best = s;
    }
    now.scales[static_cast<size_t>(g)] = best;
    now.error += least;
    const float inv = inverse(now.d * static_cast<float>(best));
    for (int i = 0; i < kGroup; ++i)
      now.codes[static_cast<size_t>(g * kGroup + i)] = static_cast<uint8_t>(Levels::code(inv * b.x[i]));
  }
  static float fit_d(const float* x, const float* w, const Scaled& now) {
    double xq = 0, qq = 0;
    for (int i = 0; i < kElements; ++i) {
      const float q = static_cast<float>(now.scales[static_cast<size_t>(i / kGroup)]) *
                      Levels::level(now.codes[static_cast<size_t>(i)]);
      xq += static_cast<double>(w[i] * x[i] * q);
      qq += static_cast<double>(w[i] * q * q);
    }
    return qq > 0 ? static_cast<float>(xq / qq) : 0.0F;
  }
};

// --- scale and minimum: x ≈ d · s · q − m · low, q in 0 … top ---

struct Lined {
  float d = 0, m = 0;
  std::array<int, 16> scales{}, lows{};
  std::array<uint8_t, kElements> codes{};
  double error = INFINITY;
};

double error_at(const Block& b, float scale, float low, int top) {
  const float inv = inverse(scale), most = static_cast<float>(top);
  float error = 0;
  for (int i = 0; i < b.n; ++i) {
    const float y = b.x[i] + low;
    const float r = y - scale * static_cast<float>(nearest(bounded(inv * y, 0.0F, most)));
    error += b.w[i] * r * r;
  }
  return static_cast<double>(error);
}

// Groups of kGroup with scales and minima 0 … kMost and codes 0 … kTop.
template <int kTop, int kGroup, int kMost>
class LinedBlocks {
 public:
  static bool encode(const float* x, const float* w, Lined& out) {
    std::array<Line, kGroups> fits;
    float top = 0, deepest = 0;
    for (int g = 0; g < kGroups; ++g) {
      Line& f = fits[static_cast<size_t>(g)];
      f = fit_line({x + g * kGroup, w + g * kGroup, kGroup}, kTop, false);
      top = std::max(top, f.scale);
      deepest = std::max(deepest, -f.low);
    }
    float d = through_half(top / kMost), m = through_half(deepest / kMost);
    for (int round = 0; round < kRounds; ++round) {
      Lined now;
      now.d = d;
      now.m = m;
      now.error = 0;
      for (int g = 0; g < kGroups; ++g) choose(x, w, g, fits[static_cast<size_t>(g)], now);
      if (now.error < out.error) out = now;
      refit(x, w, now, d, m);
    }
    return std::isfinite(out.d) && std::isfinite(out.m);
  }

 private:
  static constexpr int kGroups = kElements / kGroup;

  static void choose(const float* x, const float* w, int g, Line fit, Lined& now) {
    const Block b{x + g * kGroup, w + g * kGroup, kGroup};
    const auto whole = [](float v) { return nearest(bounded(v, 0.0F, static_cast<float>(kMost))); };
    const int scale = whole(fit.scale * inverse(now.d)), low = whole(-fit.low * inverse(now.m));
    double least = INFINITY;
    int best_scale = scale, best_low = low;
    for (int s = std::max(scale - 1, 0); s <= std::min(scale + 1, kMost); ++s)
      for (int l = std::max(low - 1, 0); l <= std::min(low + 1, kMost); ++l) {
        const double error = error_at(b, now.d * static_cast<float>(s), now.m * static_cast<float>(l), kTop);
        if (error >= least) continue;
        least = error;
        best_scale = s;
        best_low = l;
      }
    now.scales[static_cast<size_t>(g)] = best_scale;
    now.lows[static_cast<size_t>(g)] = best_low;
    now.error += least;
    const float inv = inverse(now.d * static_cast<float>(best_scale));
    const float shift = now.m * static_cast<float>(best_low);
    for (int i = 0; i < kGroup; ++i)
      now.codes[static_cast<size_t>(g * kGroup + i)] =
          static_cast<uint8_t>(nearest(bounded(inv * (b.x[i] + shift), 0.0F, static_cast<float>(kTop))));
  }
  // d and m by least squares for the codes of `now`.
  static void refit(const float* x, const float* w, const Lined& now, float& d, float& m) {
    double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
    for (int i = 0; i < kElements; ++i) {
      const auto g = static_cast<size_t>(i / kGroup);
      const double a = now.scales[g] * now.codes[static_cast<size_t>(i)], b = -now.lows[g];
      const double wi = static_cast<double>(w[i]), xi = static_cast<double>(x[i]);
      aa += wi * a * a;
      ab += wi * a * b;
      bb += wi * b * b;
      xa += wi * xi * a;
      xb += wi * xi * b;
    }
    const double det = aa * bb - ab * ab;
    if (!(det > 1e-9 * aa * bb)) return;
    const double dd = (bb * xa - ab * xb) / det, mm = (aa * xb - ab * xa) / det;
    if (!(dd > 0) || !(mm > 0)) return;
    d = through_half(static_cast<float>(dd));
    m = through_half(static_cast<float>(mm));
  }
};

void put_half(uint8_t* out, float v) {
  const uint16_t h = f16_bits(v);
  std::memcpy(out, &h, 2);
}

// Two bits an element at `shift` of a pair of bits: planes of 32 elements, four in each 32 bytes.
void put_pairs(const std::array<uint8_t, kElements>& codes, int shift, uint8_t* out) {
  for (size_t i = 0; i < 64; ++i) {
    const size_t at = i / 32 * 128 + i % 32;
    uint8_t byte = 0;
    for (size_t k = 0; k < 4; ++k)
      byte = static_cast<uint8_t>(byte | (codes[at + 32 * k] >> shift & 3) << (2 * k));
    out[i] = byte;
  }
}
// One bit an element: bit g of byte i is of element 32 g + i.
void put_bits(const std::array<uint8_t, kElements>& codes, int shift, uint8_t* out) {
  for (size_t i = 0; i < 32; ++i) {
    uint8_t byte = 0;
    for (size_t g = 0; g < 8; ++g) byte = static_cast<uint8_t>(byte | (codes[32 * g + i] >> shift & 1) << g);
    out[i] = byte;
  }
}
// Lower nibbles as q4_k and q5_k have them.
void put_nibbles(const std::array<uint8_t, kElements>& codes, uint8_t* out) {
  for (size_t i = 0; i < 128; ++i) {
    const size_t at = i / 32 * 64 + i % 32;
    out[i] = static_cast<uint8_t>((codes[at] & 15) | (codes[at + 32] & 15) << 4);
  }
}
void put_scales_6(const Lined& b, uint8_t* out) {
  for (size_t g = 0; g < 4; ++g) {
    const int s = b.scales[g], l = b.lows[g], s4 = b.scales[g + 4], l4 = b.lows[g + 4];
    out[g] = static_cast<uint8_t>(s | s4 >> 4 << 6);
    out[g + 4] = static_cast<uint8_t>(l | l4 >> 4 << 6);
    out[g + 8] = static_cast<uint8_t>((s4 & 15) | (l4 & 15) << 4);
  }
}

}  // namespace

bool encode_q2_k(const float* x, const float* w, uint8_t* out) {
  Lined b;
  const bool fits = LinedBlocks<3, 16, 15>::encode(x, w, b);
  for (size_t g = 0; g < 16; ++g) out[g] = static_cast<uint8_t>(b.scales[g] | b.lows[g] << 4);
  put_pairs(b.codes, 0, out + 16);
  put_half(out + 80, b.d);
  put_half(out + 82, b.m);
  return fits;
}

bool encode_q3_k(const float* x, const float* w, uint8_t* out) {
  Scaled b;
  const bool fits = ScaledBlocks<Integers<-4, 3>, 16, -32, 31>::encode(x, w, b);
  put_bits(b.codes, 2, out);
  put_pairs(b.codes, 0, out + 32);
  uint8_t* s = out + 96;
  std::memset(s, 0, 12);
  for (size_t j = 0; j < 16; ++j) {
    const int scale = b.scales[j] + 32;
    s[j % 8] = static_cast<uint8_t>(s[j % 8] | (scale & 15) << (j < 8 ? 0 : 4));
    s[8 + j % 4] = static_cast<uint8_t>(s[8 + j % 4] | scale >> 4 << (j / 4 * 2));
  }
  put_half(out + 108, b.d);
  return fits;
}

bool encode_q4_k(const float* x, const float* w, uint8_t* out) {
  Lined b;
  const bool fits = LinedBlocks<15, 32, 63>::encode(x, w, b);
  put_half(out, b.d);
  put_half(out + 2, b.m);
  put_scales_6(b, out + 4);
  put_nibbles(b.codes, out + 16);
  return fits;
}

bool encode_q5_k(const float* x, const float* w, uint8_t* out) {
  Lined b;
  const bool fits = LinedBlocks<31, 32, 63>::encode(x, w, b);
  put_half(out, b.d);
  put_half(out + 2, b.m);
  put_scales_6(b, out + 4);
  put_bits(b.codes, 4, out + 16);
  put_nibbles(b.codes, out + 48);
  return fits;
}

bool encode_q6_k(const float* x, const float* w, uint8_t* out) {
  Scaled b;
  const bool fits = ScaledBlocks<Integers<-32, 31>, 16, -128, 127>::encode(x, w, b);
  for (size_t i = 0; i < 128; ++i) {
    const size_t at = i / 64 * 128 + i % 64;
    out[i] = static_cast<uint8_t>((b.codes[at] & 15) | (b.codes[at + 64] & 15) << 4);
  }
  put_pairs(b.codes, 4, out + 128);
  for (size_t g = 0; g < 16; ++g) out[192 + g] = static_cast<uint8_t>(b.scales[g]);
  put_half(out + 208, b.d);
  return fits;
}

bool encode_iq4_xs(const float* x, const float* w, uint8_t* out) {
  Scaled b;
  const bool fits = ScaledBlocks<Iq4Levels, 32, -32, 31>::encode(x, w, b);
  put_half(out, b.d);
  uint16_t high = 0;
  for (size_t g = 0; g < 8; ++g) high = static_cast<uint16_t>(high | (b.scales[g] + 32) >> 4 << (2 * g));
  std::memcpy(out + 2, &high, 2);
  for (size_t g = 0; g < 8; g += 2)
    out[4 + g / 2] = static_cast<uint8_t>(((b.scales[g] + 32) & 15) | ((b.scales[g + 1] + 32) & 15) << 4);
  for (size_t i = 0; i < 128; ++i) {
    const size_t at = i / 16 * 32 + i % 16;
    out[8 + i] = static_cast<uint8_t>(b.codes[at] | b.codes[at + 16] << 4);
  }
  return fits;
}

}  // namespace qw::quant
