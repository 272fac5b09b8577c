#include "io/encode.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace qw {
namespace {

// By the definition: sign, 5 bits of exponent, 10 of fraction.
float f16_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const double size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return static_cast<float>(bits & 0x8000 ? -size : size);
}
float bf16_value(uint16_t bits) {
  return std::bit_cast<float>(uint32_t{bits} << 16);
}

// Every value is itself, what lies between two neighbours goes to the nearer one, the middle to the even one.
template <class Value, class ToBits>
void expect_nearest(uint16_t infinity, Value value, ToBits to_bits) {
  for (uint32_t b = 0; b + 1 < infinity; ++b) {
    const auto bits = static_cast<uint16_t>(b);
    const auto next = static_cast<uint16_t>(b + 1);
    const float low = value(bits), high = value(next);
    const auto middle = static_cast<float>((static_cast<double>(low) + static_cast<double>(high)) / 2);
    ASSERT_EQ(to_bits(low), bits);
    ASSERT_EQ(to_bits(-low), bits | 0x8000);
    ASSERT_EQ(to_bits(middle), b % 2 == 0 ? bits : next) << b;
    ASSERT_EQ(to_bits(std::nextafter(middle, low)), bits) << b;
    ASSERT_EQ(to_bits(std::nextafter(middle, high)), next) << b;
  }
}

TEST(Encode, F16IsTheNearest) {
  expect_nearest(0x7C00, f16_value, f16_bits);
  EXPECT_EQ(f16_bits(65519.99F), 0x7BFF);
  EXPECT_EQ(f16_bits(65520.0F), 0x7C00);
  EXPECT_EQ(f16_bits(-1e30F), 0xFC00);
  EXPECT_EQ(f16_bits(std::numeric_limits<float>::infinity()), 0x7C00);
  EXPECT_EQ(f16_bits(std::nanf("")) & 0x7E00, 0x7E00);
}

TEST(Encode, Bf16IsTheNearest) {
  expect_nearest(0x7F80, bf16_value, bf16_bits);
  EXPECT_EQ(bf16_bits(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(bf16_bits(std::numeric_limits<float>::infinity()), 0x7F80);
  EXPECT_TRUE(std::isnan(bf16_value(bf16_bits(std::nanf("")))));
}

TEST(Encode, SaysWhereANumberDoesNotFit) {
  std::vector<std::byte> out;
  const std::vector<float> large{1.0F, 7e4F};
  EXPECT_FALSE(encode(QuantFormat::f16, large, out));
  EXPECT_TRUE(encode(QuantFormat::bf16, large, out));
  EXPECT_TRUE(encode(QuantFormat::f32, large, out));
  EXPECT_FALSE(encode(QuantFormat::bf16, std::vector<float>{3.4e38F}, out));
  EXPECT_TRUE(encode(QuantFormat::f16, std::vector<float>{std::numeric_limits<float>::infinity()}, out));
  std::vector<float> block(32, 0.0F);
  block[5] = 1e7F;  // scale 78740
  EXPECT_FALSE(encode(QuantFormat::q8_0, block, out));
}

TEST(Encode, AppendsWhatItIsGiven) {
  std::vector<std::byte> out;
  ASSERT_TRUE(encode(QuantFormat::f32, std::vector<float>{1.5F}, out));
  ASSERT_TRUE(encode(QuantFormat::bf16, std::vector<float>{1.0F, -2.0F}, out));
  ASSERT_EQ(out.size(), 8U);
  uint16_t bits[2];
  std::memcpy(bits, out.data() + 4, 4);
  EXPECT_EQ(bits[0], 0x3F80);
  EXPECT_EQ(bits[1], 0xC000);
}

// d = 127 / 127 = 1: the numbers show themselves; halves go away from zero.
TEST(Encode, Q8BlocksRoundAsGgmlDoes) {
  std::vector<float> block(64, 0.0F);
  const std::vector<float> given{127.0F, 0.5F, -0.5F, 2.5F, -2.5F, 126.4F, -126.6F, 0.49F};
  std::copy(given.begin(), given.end(), block.begin());
  std::vector<std::byte> out;
  ASSERT_TRUE(encode(QuantFormat::q8_0, block, out));
  ASSERT_EQ(out.size(), 68U);
  uint16_t scale = 0;
  std::memcpy(&scale, out.data(), 2);
  EXPECT_EQ(scale, 0x3C00);
  const std::vector<int> want{127, 1, -1, 3, -3, 126, -127, 0};
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(static_cast<int8_t>(out[2 + i]), want[i]) << i;
  for (size_t i = 34; i < 68; ++i) EXPECT_EQ(out[i], std::byte{0});  // a block of zeros
}

}  // namespace
}  // namespace qw
