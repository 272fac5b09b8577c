#include "text/jinja/bigint.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "text/jinja/failure.h"

namespace qw::text::jinja {
namespace {

void check_size(size_t limbs) {
  if (limbs * 32 > BigInt::kMaxBits) fail_limit("integer too large");
}

}  // namespace

BigInt::BigInt(int64_t v) : negative_(v < 0) {
  uint64_t m = v < 0 ? ~static_cast<uint64_t>(v) + 1 : static_cast<uint64_t>(v);
  for (; m != 0; m >>= 32) limbs_.push_back(static_cast<uint32_t>(m));
}

void BigInt::trim() {
  while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
  if (limbs_.empty()) negative_ = false;
}

BigInt BigInt::parse(std::string_view digits, int base) {
  BigInt out;
  const bool minus = !digits.empty() && digits[0] == '-';
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.remove_prefix(1);
  for (const char c : digits) {
    const int d = c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
    out.multiply_add_small(static_cast<uint32_t>(base), static_cast<uint32_t>(d));
  }
  out.negative_ = minus && !out.zero();
  return out;
}

BigInt BigInt::from_double(double v) {
  int exponent = 0;
  const double fraction = std::frexp(std::trunc(std::fabs(v)), &exponent);
  BigInt out(static_cast<int64_t>(std::ldexp(fraction, 53)));
  if (exponent >= 53) {
    out = out.shifted_left(static_cast<size_t>(exponent - 53));
  } else {
    out = BigInt(static_cast<int64_t>(std::trunc(std::fabs(v))));
  }
  out.negative_ = v < 0 && !out.zero();
  return out;
}

size_t BigInt::bits() const {
  return limbs_.empty() ? 0 : (limbs_.size() - 1) * 32 + static_cast<size_t>(std::bit_width(limbs_.back()));
}

std::optional<int64_t> BigInt::small() const {
  if (limbs_.size() > 2) return std::nullopt;
  uint64_t m = 0;
  for (size_t i = limbs_.size(); i-- > 0;) m = m << 32 | limbs_[i];
  const uint64_t bound = uint64_t{1} << 63;
  if (negative_ ? m > bound : m >= bound) return std::nullopt;
  return static_cast<int64_t>(negative_ ? ~m + 1 : m);
}

std::optional<double> BigInt::to_double() const {
  return true_divide(*this, BigInt(1));
}

std::string BigInt::digits(int base) const {
  if (zero()) return "0";
  BigInt rest(false, limbs_);
  std::string out;
  while (!rest.zero()) {
    const uint32_t d = rest.divide_small(static_cast<uint32_t>(base));
    out.push_back(static_cast<char>(d < 10 ? '0' + d : 'a' + d - 10));
  }
  if (negative_) out.push_back('-');
  std::reverse(out.begin(), out.end());
  return out;
}

BigInt operator+(const BigInt& a, const BigInt& b) {
  if (a.negative_ != b.negative_) {
    const int order = BigInt::compare_magnitude(a, b);
    const BigInt& big = order >= 0 ? a : b;
    const BigInt& little = order >= 0 ? b : a;
    std::vector<uint32_t> out = big.limbs_;
    int64_t borrow = 0;
    for (size_t i = 0; i < out.size(); ++i) {
      int64_t d = int64_t{out[i]} - borrow - (i < little.limbs_.size() ? int64_t{little.limbs_[i]} : 0);
      borrow = d < 0;
      out[i] = static_cast<uint32_t>(d + (borrow << 32));
    }
    return {big.negative_, std::move(out)};
  }
  std::vector<uint32_t> out(std::max(a.limbs_.size(), b.limbs_.size()) + 1);
  check_size(out.size());
  uint64_t carry = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    carry += (i < a.limbs_.size() ? a.limbs_[i] : 0ull) + (i < b.limbs_.size() ? b.limbs_[i] : 0ull);
    out[i] = static_cast<uint32_t>(carry);
    carry >>= 32;
  }
  return {a.negative_, std::move(out)};
}

BigInt operator*(const BigInt& a, const BigInt& b) {
  std::vector<uint32_t> out(a.limbs_.size() + b.limbs_.size());
  check_size(out.size());
  for (size_t i = 0; i < a.limbs_.size(); ++i) {
    uint64_t carry = 0;
    for (size_t j = 0; j < b.limbs_.size(); ++j) {
      carry += uint64_t{a.limbs_[i]} * b.limbs_[j] + out[i + j];
      out[i + j] = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    out[i + b.limbs_.size()] = static_cast<uint32_t>(carry);
  }
  return {a.negative_ != b.negative_, std::move(out)};
}

void BigInt::floor_divide(const BigInt& a, const BigInt& b, BigInt& quotient, BigInt& remainder) {
  divide_magnitude(a, b, quotient, remainder);
  quotient.negative_ = a.negative_ != b.negative_ && !quotient.zero();
  remainder.negative_ = a.negative_ && !remainder.zero();
  if (!remainder.zero() && a.negative_ != b.negative_) {
    quotient = quotient - BigInt(1);
    remainder = remainder + b;
  }
}

std::optional<double> BigInt::true_divide(const BigInt& a, const BigInt& b) {
  if (a.zero()) return b.negative_ ? -0.0 : 0.0;
  // Scale so that the quotient has 66 or 67 bits, keep "something was cut" in its last bit, and round once.
  const int64_t shift = 66 - (static_cast<int64_t>(a.bits()) - static_cast<int64_t>(b.bits()));
  BigInt quotient, remainder;
  divide_magnitude(shift > 0 ? a.shifted_left(static_cast<size_t>(shift)) : a,
                   shift < 0 ? b.shifted_left(static_cast<size_t>(-shift)) : b, quotient, remainder);
  // The top 64 bits with a sticky last bit; a double keeps 53 (fewer where the result is subnormal).
  const size_t extra = quotient.bits() - 64;
  uint64_t top = 0;
  bool sticky = !remainder.zero();
  for (size_t i = 0; i < 64; ++i) {
    const size_t bit = extra + i;
    top |= static_cast<uint64_t>(quotient.limbs_[bit / 32] >> (bit % 32) & 1) << i;
  }
  for (size_t bit = 0; bit < extra; ++bit) sticky |= (quotient.limbs_[bit / 32] >> (bit % 32) & 1) != 0;
  const int64_t exponent = static_cast<int64_t>(extra) - shift;
  if (exponent > 2000) return std::nullopt;
  if (exponent < -2000) return a.negative_ != b.negative_ ? -0.0 : 0.0;
  const int64_t keep = std::min<int64_t>(53, 64 + exponent + 1074);
  if (keep <= 0) return a.negative_ != b.negative_ ? -0.0 : 0.0;
  const int drop = static_cast<int>(64 - keep);
  uint64_t kept = top >> drop;
  const uint64_t half = uint64_t{1} << (drop - 1);
  const uint64_t cut = top & (half * 2 - 1);
  if (cut > half || (cut == half && (sticky || (kept & 1) != 0))) ++kept;
  const double out = std::ldexp(static_cast<double>(kept), static_cast<int>(exponent) + drop);
  if (std::isinf(out)) return std::nullopt;
  return a.negative_ != b.negative_ ? -out : out;
}

int BigInt::compare(const BigInt& a, const BigInt& b) {
  if (a.negative_ != b.negative_) return a.negative_ ? -1 : 1;
  const int order = compare_magnitude(a, b);
  return a.negative_ ? -order : order;
}

int BigInt::compare_magnitude(const BigInt& a, const BigInt& b) {
  if (a.limbs_.size() != b.limbs_.size()) return a.limbs_.size() < b.limbs_.size() ? -1 : 1;
  for (size_t i = a.limbs_.size(); i-- > 0;)
    if (a.limbs_[i] != b.limbs_[i]) return a.limbs_[i] < b.limbs_[i] ? -1 : 1;
  return 0;
}

// Bit by bit: numbers here are small, and clarity is worth more than Knuth's algorithm D.
void BigInt::divide_magnitude(const BigInt& a, const BigInt& b, BigInt& quotient, BigInt& remainder) {
  std::vector<uint32_t> q(a.limbs_.size());
  if (b.limbs_.size() == 1) {
    BigInt rest(false, a.limbs_);
    const uint32_t r = rest.divide_small(b.limbs_[0]);
    quotient = rest;
    remainder = BigInt(int64_t{r});
    return;
  }
  BigInt rest;
  const BigInt divisor(false, b.limbs_);
  for (size_t bit = a.bits(); bit-- > 0;) {
    rest.multiply_add_small(2, a.limbs_[bit / 32] >> (bit % 32) & 1);
    if (compare_magnitude(rest, divisor) >= 0) {
      rest = rest - divisor;
      q[bit / 32] |= uint32_t{1} << (bit % 32);
    }
  }
  quotient = BigInt(false, std::move(q));
  remainder = rest;
}

BigInt BigInt::shifted_left(size_t count) const {
  std::vector<uint32_t> out(count / 32 + limbs_.size() + 1);
  check_size(out.size());
  for (size_t i = 0; i < limbs_.size(); ++i) {
    const uint64_t wide = uint64_t{limbs_[i]} << (count % 32);
    out[count / 32 + i] |= static_cast<uint32_t>(wide);
    out[count / 32 + i + 1] |= static_cast<uint32_t>(wide >> 32);
  }
  return {negative_, std::move(out)};
}

uint32_t BigInt::divide_small(uint32_t divisor) {
  uint64_t rest = 0;
  for (size_t i = limbs_.size(); i-- > 0;) {
    rest = rest << 32 | limbs_[i];
    limbs_[i] = static_cast<uint32_t>(rest / divisor);
    rest %= divisor;
  }
  trim();
  return static_cast<uint32_t>(rest);
}

void BigInt::multiply_add_small(uint32_t factor, uint32_t addend) {
  uint64_t carry = addend;
  for (uint32_t& limb : limbs_) {
    carry += uint64_t{limb} * factor;
    limb = static_cast<uint32_t>(carry);
    carry >>= 32;
  }
  if (carry != 0) {
    check_size(limbs_.size() + 1);
    limbs_.push_back(static_cast<uint32_t>(carry));
  }
}

}  // namespace qw::text::jinja
