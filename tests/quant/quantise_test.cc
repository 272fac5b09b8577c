// Every format that can be written: decoded by the backend's own decoder, the error is within what the
// format's bits allow; numbers that the format has come back exactly; weights move the error where they say.
#include "quant/quantise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/cpu/blocks/blocks.h"
#include "base/rng.h"

namespace qw::quant {
namespace {

using Floats = std::vector<float>;

Floats decode(QuantFormat format, const std::vector<std::byte>& row, size_t n) {
  Floats out(n);
  cpu::decode_groups(out.data(), reinterpret_cast<const uint8_t*>(row.data()),
                     static_cast<cpu::Format>(format), 0, static_cast<int64_t>(n));
  return out;
}
struct Written {
  std::vector<std::byte> bytes;
  bool fits = false;
};
Written write(QuantFormat format, const Floats& x, const Floats& importance = {}) {
  Written w;
  w.bytes.resize(static_cast<size_t>(row_bytes(format, static_cast<int64_t>(x.size()))));
  w.fits = quantise_row(format, x, importance, w.bytes.data());
  return w;
}
Floats normals(uint64_t key, size_t n, double scale = 0.02) {
  const Rng rng(key);
  Floats out;
  for (size_t i = 0; i < n; ++i) out.push_back(static_cast<float>(scale * rng.normal(i)));
  return out;
}
double relative_error(const Floats& x, const Floats& y, const Floats& w = {}) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double weight = w.empty() ? 1.0 : static_cast<double>(w[i]), d = static_cast<double>(x[i] - y[i]);
    error += weight * d * d;
    norm += weight * static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  return std::sqrt(error / norm);
}

// The relative error on normal numbers: what was measured, and 4 % more. That of ggml's own quantisers
// (llama.cpp 0.7) on the same kind of numbers is in docs/quant.md, and larger for every one.
struct Case {
  QuantFormat format;
  double error;
};
constexpr Case kCases[] = {
    {QuantFormat::q8_0, 0.0056},  {QuantFormat::q4_0, 0.0845},   {QuantFormat::q4_1, 0.0725},
    {QuantFormat::q5_0, 0.0417},  {QuantFormat::q5_1, 0.0352},   {QuantFormat::q2_k, 0.2740},
    {QuantFormat::q3_k, 0.1490},  {QuantFormat::q4_k, 0.0730},   {QuantFormat::q5_k, 0.0361},
    {QuantFormat::q6_k, 0.0176},  {QuantFormat::iq4_nl, 0.0766}, {QuantFormat::iq4_xs, 0.0773},
    {QuantFormat::mxfp4, 0.1165}, {QuantFormat::tq1_0, 0.4520},  {QuantFormat::tq2_0, 0.4520},
};

TEST(Quantise, ErrorsAreAsSmallAsTheFormatAllows) {
  const Floats x = normals(1, 16 * 1024);
  for (const Case& c : kCases) {
    const Written w = write(c.format, x);
    EXPECT_TRUE(w.fits);
    EXPECT_LT(relative_error(x, decode(c.format, w.bytes, x.size())), c.error) << traits(c.format).name;
  }
}

TEST(Quantise, NumbersThatTheFormatHasComeBackExactly) {
  // Scales that are powers of two, whole codes over the whole range in every group.
  for (const auto& [format, low, high] : {std::tuple{QuantFormat::q4_0, -8, 7},
                                          {QuantFormat::q5_0, -16, 15},
                                          {QuantFormat::q8_0, -127, 127},
                                          {QuantFormat::q4_1, 0, 15},
                                          {QuantFormat::q5_1, 0, 31},
                                          {QuantFormat::tq1_0, -1, 1},
                                          {QuantFormat::tq2_0, -1, 1},
                                          {QuantFormat::q6_k, -32, 31},
                                          {QuantFormat::q3_k, -4, 3}}) {
    const Rng rng(7);
    Floats x(1024);
    for (size_t i = 0; i < x.size(); ++i) {
      const int q = i % 16 < 2 ? (i % 2 == 0 ? low : high)
                               : low + static_cast<int>(rng.below(static_cast<uint64_t>(high - low + 1), i));
      x[i] = static_cast<float>(q) * 0x1p-6F;
    }
    const Written w = write(format, x);
    EXPECT_TRUE(w.fits);
    EXPECT_EQ(decode(format, w.bytes, x.size()), x) << traits(format).name;
  }
}

TEST(Quantise, ColumnsThatMatterAreMoreExact) {
  const Floats x = normals(3, 4096);
  Floats w(x.size());
  for (size_t i = 0; i < w.size(); ++i) w[i] = i % 7 == 0 ? 50.0F : 1.0F;
  for (const Case& c : kCases) {
    if (c.format == QuantFormat::q8_0) continue;  // to the bit as ggml writes it
    const Floats plain = decode(c.format, write(c.format, x).bytes, x.size());
    const Floats aimed = decode(c.format, write(c.format, x, w).bytes, x.size());
    EXPECT_LT(relative_error(x, aimed, w), relative_error(x, plain, w)) << traits(c.format).name;
  }
}

TEST(Quantise, OddBlocks) {
  const auto one_of = [](const Floats& x, QuantFormat format) {
    const Written w = write(format, x);
    EXPECT_TRUE(w.fits) << traits(format).name;
    return decode(format, w.bytes, x.size());
  };
  for (const Case& c : kCases) {
    EXPECT_EQ(one_of(Floats(256, 0.0F), c.format), Floats(256, 0.0F)) << traits(c.format).name;
    Floats spike(256, 0.0F);
    spike[77] = -3.0F;
    EXPECT_LT(relative_error(spike, one_of(spike, c.format)), 0.35) << traits(c.format).name;
    for (const float v : {2.5F, -2.5F}) {
      const Floats same(256, v);
      // 2.5 lies midway between two levels of e2m1.
      const double most = c.format == QuantFormat::mxfp4 ? 0.21 : 0.07;
      EXPECT_LT(relative_error(same, one_of(same, c.format)), most) << traits(c.format).name << " " << v;
    }
    const Floats tiny = normals(5, 256, 1e-9);
    for (const float v : one_of(tiny, c.format)) EXPECT_LT(std::abs(v), 1e-7F) << traits(c.format).name;
    // No weight at all, and columns that the sample never used.
    const Floats x = normals(6, 256);
    EXPECT_EQ(write(c.format, x, Floats(256, 0.0F)).bytes, write(c.format, x).bytes) << traits(c.format).name;
    Floats half(256, 1.0F);
    std::fill(half.begin(), half.begin() + 128, 0.0F);
    const Written w = write(c.format, x, half);
    EXPECT_LT(relative_error(x, decode(c.format, w.bytes, 256)), 0.6) << traits(c.format).name;
  }
}

TEST(Quantise, RefusesWhatTheFormatCannotHold) {
  for (const Case& c : kCases) {
    for (const float bad :
         {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      Floats x = normals(2, 256);
      x[200] = bad;
      EXPECT_FALSE(write(c.format, x).fits) << traits(c.format).name << " " << bad;
    }
    if (c.format == QuantFormat::mxfp4) continue;  // its scales reach as far as f32
    EXPECT_FALSE(write(c.format, normals(2, 256, 1e12)).fits) << traits(c.format).name;
  }
}

}  // namespace
}  // namespace qw::quant
