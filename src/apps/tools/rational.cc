#include "apps/tools/rational.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace qw::tools {
namespace {

constexpr int kExactDigits = 15;
constexpr int kRoundedDigits = 10;
constexpr size_t kMaxWholeDigits = 60;
constexpr int kMaxZeros = 10;      // behind the point; smaller values are given with an exponent
constexpr int kMaxExponent = 600;  // 10^600 has 1,994 bits
constexpr int kRootDigits = 40;    // places behind the point of the root's estimate

BigInt quotient(const BigInt& a, const BigInt& b) {
  BigInt q, r;
  BigInt::floor_divide(a, b, q, r);
  return q;
}

BigInt remainder(const BigInt& a, const BigInt& b) {
  BigInt q, r;
  BigInt::floor_divide(a, b, q, r);
  return r;
}

BigInt magnitude(const BigInt& a) {
  return a.negative() ? -a : a;
}

BigInt gcd(BigInt a, BigInt b) {
  while (!b.zero()) {
    BigInt r = remainder(a, b);
    a = std::move(b);
    b = std::move(r);
  }
  return a;
}

// The largest r with r² <= n, by Newton's method from above.
BigInt integer_root(const BigInt& n) {
  if (n.zero()) return n;
  BigInt x(1);
  for (size_t i = 0; i < n.bits() / 2 + 1; ++i) x = x + x;
  while (true) {
    const BigInt y = quotient(x + quotient(n, x), BigInt(2));
    if (BigInt::compare(y, x) >= 0) return x;
    x = y;
  }
}

void strip_zeros(std::string& digits) {
  digits.erase(digits.find_last_not_of('0') + 1);
}

// `digits` · 10^exponent with the point put in.
std::string with_point(std::string digits, int exponent) {
  if (exponent >= 0) return digits + std::string(static_cast<size_t>(exponent), '0');
  const auto places = static_cast<size_t>(-exponent);
  if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
  digits.insert(digits.size() - places, 1, '.');
  return digits;
}

// The places behind the point of a fraction that ends, none where it does not end within `most`.
std::optional<int> places_of(const BigInt& den, int most) {
  BigInt scaled(1);
  for (int places = 0; places <= most; ++places) {
    if (remainder(scaled, den).zero()) return places;
    scaled = scaled * BigInt(10);
  }
  return std::nullopt;
}

// The value (not negative, not zero) to n significant digits, halves up: digits · 10^exponent.
std::pair<std::string, int> significant(const BigInt& num, const BigInt& den, int n) {
  // An estimate of the exponent from the sizes, never more than one off after the first division.
  int exponent =
      static_cast<int>((static_cast<double>(num.bits()) - static_cast<double>(den.bits())) * 0.30103) - n;
  while (true) {
    const BigInt scaled_num = exponent < 0 ? num * power_of_ten(-exponent) : num;
    const BigInt scaled_den = exponent > 0 ? den * power_of_ten(exponent) : den;
    const BigInt digits = quotient(scaled_num + scaled_num + scaled_den, scaled_den + scaled_den);
    std::string text = digits.digits();
    const int length = digits.zero() ? 0 : static_cast<int>(text.size());
    if (length == n) return {text, exponent};
    exponent += length > n ? length - n : -1;
  }
}

}  // namespace

BigInt power_of_ten(int n) {
  BigInt out(1), base(10);
  for (; n > 0; n /= 2) {
    if (n % 2 != 0) out = out * base;
    base = base * base;
  }
  return out;
}

std::optional<Rational> Rational::make(BigInt num, BigInt den) {
  if (den.negative()) {
    num = -num;
    den = -den;
  }
  const BigInt common = gcd(magnitude(num), den);
  if (common.bits() > 1) {
    num = quotient(num, common);
    den = quotient(den, common);
  }
  if (num.bits() > kMaxBits || den.bits() > kMaxBits) return std::nullopt;
  return Rational(std::move(num), std::move(den));
}

std::optional<Rational> Rational::parse(std::string_view decimal) {
  const size_t e = std::min(decimal.find_first_of("eE"), decimal.size());
  int exponent = 0;
  if (e < decimal.size()) {
    std::string_view digits = decimal.substr(e + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    if (error != std::errc() || exponent < -kMaxExponent || exponent > kMaxExponent) return std::nullopt;
  }
  std::string digits(decimal.substr(0, e));
  if (const size_t point = digits.find('.'); point != digits.npos) {
    exponent -= static_cast<int>(digits.size() - point - 1);
    digits.erase(point, 1);
  }
  if (digits.empty() || std::abs(exponent) > kMaxExponent) return std::nullopt;
  const BigInt whole = BigInt::parse(digits);
  return exponent < 0 ? make(whole, power_of_ten(-exponent))
                      : make(whole * power_of_ten(exponent), BigInt(1));
}

Rational Rational::from_double(double finite) {
  int exponent = 0;
  const double mantissa = std::frexp(finite, &exponent);
  constexpr int kBits = 53;
  BigInt num(static_cast<int64_t>(std::ldexp(mantissa, kBits))), den(1);
  for (exponent -= kBits; exponent > 0; --exponent) num = num + num;
  for (; exponent < 0; ++exponent) den = den + den;
  return make(num, den).value_or(Rational());
}

Rational Rational::operator-() const {
  return Rational(-num_, den_);
}

std::optional<Rational> add(const Rational& a, const Rational& b) {
  return Rational::make(a.num_ * b.den_ + b.num_ * a.den_, a.den_ * b.den_);
}

std::optional<Rational> multiply(const Rational& a, const Rational& b) {
  return Rational::make(a.num_ * b.num_, a.den_ * b.den_);
}

std::optional<Rational> divide(const Rational& a, const Rational& b) {
  return Rational::make(a.num_ * b.den_, a.den_ * b.num_);
}

int compare(const Rational& a, const Rational& b) {
  return BigInt::compare(a.num_ * b.den_, b.num_ * a.den_);
}

BigInt Rational::floor() const {
  return quotient(num_, den_);
}

std::optional<Rational> Rational::rounded(int places) const {
  const Rational scale(power_of_ten(std::abs(places)), BigInt(1));
  const auto scaled = places >= 0 ? multiply(*this, scale) : divide(*this, scale);
  const auto half = Rational(BigInt(1), BigInt(2));
  const auto shifted = scaled ? add(scaled->abs(), half) : std::nullopt;
  if (!shifted) return std::nullopt;
  const Rational whole(negative() ? -shifted->floor() : shifted->floor(), BigInt(1));
  return places >= 0 ? divide(whole, scale) : multiply(whole, scale);
}

std::optional<Rational> Rational::square_root() const {
  const BigInt num = integer_root(num_), den = integer_root(den_);
  if (BigInt::compare(num * num, num_) == 0 && BigInt::compare(den * den, den_) == 0) return make(num, den);
  // √(p/q) = √(p·q·10^2k) / (q·10^k), with k enough for small values too.
  const int k = kRootDigits + static_cast<int>(static_cast<double>(den_.bits()) * 0.16);
  const BigInt scale = power_of_ten(k);
  const BigInt root = integer_root(num_ * den_ * scale * scale);
  return make(root, den_ * scale);
}

std::string Rational::text() const {
  if (zero()) return "0";
  const std::string sign = negative() ? "-" : "";
  const BigInt num = magnitude(num_);
  if (integer()) {
    std::string digits = num.digits();
    if (digits.size() <= kMaxWholeDigits) return fmt::format("{}{}", sign, digits);
  } else if (const auto places = places_of(den_, kExactDigits + kMaxZeros)) {
    const std::string digits = quotient(num * power_of_ten(*places), den_).digits();
    if (digits.size() <= kExactDigits && *places - static_cast<int>(digits.size()) < kMaxZeros)
      return fmt::format("{}{}", sign, with_point(digits, -*places));
  }
  auto [digits, exponent] = significant(num, den_, kRoundedDigits);
  const size_t before = digits.size();
  strip_zeros(digits);
  exponent += static_cast<int>(before - digits.size());
  const int leading = static_cast<int>(digits.size()) + exponent;  // digits before the point
  if (leading > static_cast<int>(kMaxWholeDigits) || leading <= -kMaxZeros) {
    if (digits.size() > 1) digits.insert(1, 1, '.');
    return fmt::format("{}{}e{}{}", sign, digits, leading > 0 ? "+" : "", leading - 1);
  }
  return fmt::format("{}{}", sign, with_point(digits, exponent));
}

}  // namespace qw::tools
