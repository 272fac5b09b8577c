// Exact fractions of bounded size, for the calculator. Test: tests/apps/calculator_test.cc
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/bigint.h"

namespace qw::tools {

using text::jinja::BigInt;

class Rational {
 public:
  static constexpr size_t kMaxBits = 2048;  // of numerator and denominator each

  Rational() : Rational(0) {}
  explicit Rational(int64_t n) : num_(n), den_(1) {}
  // "12", "12.5", ".5", "1e-3"; none where the exponent is beyond kMaxBits. The caller has checked the form.
  static std::optional<Rational> parse(std::string_view decimal);
  // num / den in lowest terms; den is not zero. None beyond kMaxBits.
  static std::optional<Rational> make(BigInt num, BigInt den);
  static Rational from_double(double finite);

  bool zero() const { return num_.zero(); }
  bool negative() const { return num_.negative(); }
  bool integer() const { return den_.bits() == 1; }
  const BigInt& num() const { return num_; }
  const BigInt& den() const { return den_; }
  double to_double() const { return BigInt::true_divide(num_, den_).value_or(0); }
  Rational operator-() const;
  Rational abs() const { return negative() ? -*this : *this; }

  friend std::optional<Rational> add(const Rational& a, const Rational& b);
  friend std::optional<Rational> multiply(const Rational& a, const Rational& b);
  // b is not zero.
  friend std::optional<Rational> divide(const Rational& a, const Rational& b);
  friend int compare(const Rational& a, const Rational& b);

  // The largest integer that is not above.
  BigInt floor() const;
  // Rounded to a multiple of 10^−places, halves away from zero.
  std::optional<Rational> rounded(int places) const;
  // Exact where the value is a square, else to 30 significant digits at least. Not negative.
  std::optional<Rational> square_root() const;

  // Decimal: exact where the value is a whole number, or has at most 15 significant digits; else rounded to
  // 10 significant digits. Whole numbers beyond 60 digits and very small ones with an exponent.
  std::string text() const;

 private:
  Rational(BigInt num, BigInt den) : num_(std::move(num)), den_(std::move(den)) {}

  BigInt num_, den_;  // den_ > 0, lowest terms
};

std::optional<Rational> add(const Rational& a, const Rational& b);
std::optional<Rational> multiply(const Rational& a, const Rational& b);
std::optional<Rational> divide(const Rational& a, const Rational& b);
int compare(const Rational& a, const Rational& b);

// 10^n, n >= 0.
BigInt power_of_ten(int n);

}  // namespace qw::tools
