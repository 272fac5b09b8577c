// Integers beyond 64 bits, as Python has them: sign and magnitude, limbs of 32 bits, schoolbook algorithms.
// Sizes are bounded by kMaxBits, so that no operation of a template can take long. Test:
// tests/text/jinja_value_test.cc
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qw::text::jinja {

class BigInt {
 public:
  static constexpr size_t kMaxBits = size_t{1} << 16;

  BigInt() = default;
  explicit BigInt(int64_t v);
  BigInt(bool negative, std::vector<uint32_t> limbs) : negative_(negative), limbs_(std::move(limbs)) {
    trim();
  }
  // Digits of base 2 to 36 with an optional sign; the caller has checked them.
  static BigInt parse(std::string_view digits, int base = 10);
  // The integer part of a finite number.
  static BigInt from_double(double v);

  bool negative() const { return negative_; }
  bool zero() const { return limbs_.empty(); }
  const std::vector<uint32_t>& limbs() const { return limbs_; }
  size_t bits() const;
  // The value where it fits into 64 bits.
  std::optional<int64_t> small() const;
  // The nearest double, ties to even; none where it overflows.
  std::optional<double> to_double() const;
  // Lower case digits of the base, with a minus sign where negative.
  std::string digits(int base = 10) const;

  BigInt operator-() const { return {!negative_, limbs_}; }
  friend BigInt operator+(const BigInt& a, const BigInt& b);
  friend BigInt operator-(const BigInt& a, const BigInt& b) { return a + -b; }
  friend BigInt operator*(const BigInt& a, const BigInt& b);
  // Python's floor division and its remainder (sign of the divisor). b is not zero.
  static void floor_divide(const BigInt& a, const BigInt& b, BigInt& quotient, BigInt& remainder);
  // a / b rounded once, as Python's int / int; none on overflow. b is not zero.
  static std::optional<double> true_divide(const BigInt& a, const BigInt& b);
  static int compare(const BigInt& a, const BigInt& b);

 private:
  static int compare_magnitude(const BigInt& a, const BigInt& b);
  static void divide_magnitude(const BigInt& a, const BigInt& b, BigInt& quotient, BigInt& remainder);
  BigInt shifted_left(size_t count) const;
  uint32_t divide_small(uint32_t divisor);
  void multiply_add_small(uint32_t factor, uint32_t addend);
  void trim();

  bool negative_ = false;
  std::vector<uint32_t> limbs_;  // least significant first, no leading zeros
};

}  // namespace qw::text::jinja
