#include "text/jinja/arithmetic.h"

#include <charconv>
#include <cmath>

namespace qw::text::jinja {
namespace {

[[noreturn]] void zero_division() {
  fail_runtime(PyClass::other, "division by zero");
}

// Python's float_divmod: the quotient is floored, the remainder has the sign of the divisor.
void real_divmod(double a, double b, double& quotient, double& remainder) {
  if (b == 0) zero_division();
  remainder = std::fmod(a, b);
  double div = (a - remainder) / b;
  if (remainder != 0) {
    if ((b < 0) != (remainder < 0)) {
      remainder += b;
      div -= 1;
    }
  } else {
    remainder = std::copysign(0.0, b);
  }
  if (div != 0) {
    quotient = std::floor(div);
    if (div - quotient > 0.5) quotient += 1;
  } else {
    quotient = std::copysign(0.0, a / b);
  }
}

double real_pow(double a, double b) {
  if (a == 0 && b < 0) zero_division();
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && std::trunc(b) != b)
    value_error("a negative number to a fractional power is complex");
  const double out = std::pow(a, b);
  if (std::isinf(out) && std::isfinite(a) && std::isfinite(b))
    fail_runtime(PyClass::overflow, "Result too large");
  return out;
}

Value real_op(BinaryOp op, double a, double b) {
  double quotient = 0, remainder = 0;
  switch (op) {
    case BinaryOp::add:
      return Value::of(a + b);
    case BinaryOp::sub:
      return Value::of(a - b);
    case BinaryOp::mul:
      return Value::of(a * b);
    case BinaryOp::div:
      if (b == 0) zero_division();
      return Value::of(a / b);
    case BinaryOp::floordiv:
      real_divmod(a, b, quotient, remainder);
      return Value::of(quotient);
    case BinaryOp::mod:
      real_divmod(a, b, quotient, remainder);
      return Value::of(remainder);
    case BinaryOp::pow:
      return Value::of(real_pow(a, b));
  }
  return {};
}

BigInt integer_pow(const BigInt& base, int64_t exponent) {
  const bool unit = base.zero() || base.limbs() == std::vector<uint32_t>{1};
  if (!unit && static_cast<uint64_t>(exponent) > BigInt::kMaxBits) fail_limit("integer too large");
  if (unit && exponent > 2) exponent = 2 - exponent % 2;
  BigInt out(1), square = base;
  for (int64_t e = exponent; e > 0; e >>= 1) {
    if ((e & 1) != 0) out = out * square;
    if (e > 1) square = square * square;
  }
  return out;
}

Value integer_op(Heap& heap, BinaryOp op, const BigInt& a, const BigInt& b) {
  BigInt quotient, remainder;
  switch (op) {
    case BinaryOp::add:
      return heap.integer(a + b);
    case BinaryOp::sub:
      return heap.integer(a - b);
    case BinaryOp::mul:
      return heap.integer(a * b);
    case BinaryOp::div: {
      if (b.zero()) zero_division();
      const auto out = BigInt::true_divide(a, b);
      if (!out) fail_runtime(PyClass::overflow, "integer division result too large for a float");
      return Value::of(*out);
    }
    case BinaryOp::floordiv:
    case BinaryOp::mod:
      if (b.zero()) zero_division();
      BigInt::floor_divide(a, b, quotient, remainder);
      return heap.integer(op == BinaryOp::mod ? remainder : quotient);
    case BinaryOp::pow:
      break;
  }
  const auto exponent = b.small();
  if (!exponent) fail_limit("integer too large");
  if (*exponent < 0) return Value::of(real_pow(to_real(heap.integer(a)), static_cast<double>(*exponent)));
  return heap.integer(integer_pow(a, *exponent));
}

// The usual case without big integers; false on overflow or for the other operators.
bool small_op(BinaryOp op, int64_t a, int64_t b, int64_t& out) {
  switch (op) {
    case BinaryOp::add:
      return !__builtin_add_overflow(a, b, &out);
    case BinaryOp::sub:
      return !__builtin_sub_overflow(a, b, &out);
    case BinaryOp::mul:
      return !__builtin_mul_overflow(a, b, &out);
    case BinaryOp::floordiv:
    case BinaryOp::mod: {
      if (b == 0 || b == -1) return false;
      const int64_t remainder = a % b;
      const bool below = remainder != 0 && (remainder < 0) != (b < 0);
      out = op == BinaryOp::mod ? remainder + (below ? b : 0) : a / b - below;
      return true;
    }
    default:
      return false;
  }
}

// The double nearest to the decimal that `v` is, rounded half-to-even at 10^-digits.
double round_decimal(double v, int64_t digits) {
  if (!std::isfinite(v) || digits > 323) return v;
  if (digits < -308) return std::copysign(0.0, v);
  char buffer[800];
  if (digits >= 0) {
    const auto end =
        std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::fixed, static_cast<int>(digits));
    double out = v;
    std::from_chars(buffer, end.ptr, out);
    return out;
  }
  // Left of the point: scientific form with as many digits as stay.
  const int exponent = v == 0 ? 0 : static_cast<int>(std::floor(std::log10(std::fabs(v))));
  const int64_t keep = exponent + digits;
  if (keep < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-digits));
    return std::copysign(std::fabs(v) > unit / 2 ? unit : 0.0, v);
  }
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific, static_cast<int>(keep));
  double out = v;
  std::from_chars(buffer, end.ptr, out);
  return out;
}

}  // namespace

Value arithmetic(Heap& heap, BinaryOp op, const Value& a, const Value& b) {
  if (a.is(Kind::real) || b.is(Kind::real)) return real_op(op, to_real(a), to_real(b));
  if (!a.is(Kind::big_integer) && !b.is(Kind::big_integer)) {
    int64_t out = 0;
    const int64_t x = a.is(Kind::boolean) ? a.boolean : a.integer;
    const int64_t y = b.is(Kind::boolean) ? b.boolean : b.integer;
    if (small_op(op, x, y, out)) return Value::of(out);
  }
  const BigInt x = to_big(a), y = to_big(b);
  heap.step(1 + x.limbs().size() * y.limbs().size() / 4);
  return integer_op(heap, op, x, y);
}

Value round_number(Heap& heap, const Value& v, int64_t digits) {
  if (v.is(Kind::real)) {
    const double out = round_decimal(v.real, digits);
    if (std::isinf(out) && !std::isinf(v.real))
      fail_runtime(PyClass::overflow, "rounded value too large to represent");
    return Value::of(out);
  }
  const BigInt big = to_big(v);
  if (digits >= 0) return heap.integer(big);
  if (digits < -4400) return Value::of(0);
  const BigInt unit = integer_pow(BigInt(10), -digits);
  BigInt quotient, remainder;
  BigInt::floor_divide(big, unit, quotient, remainder);
  const int order = BigInt::compare(remainder + remainder, unit);
  const bool odd = !quotient.zero() && (quotient.limbs()[0] & 1) != 0;
  if (order > 0 || (order == 0 && odd)) quotient = quotient + BigInt(1);
  return heap.integer(quotient * unit);
}

Value truncate(Heap& heap, double v) {
  if (std::isnan(v)) value_error("cannot convert float NaN to integer");
  if (std::isinf(v)) fail_runtime(PyClass::overflow, "cannot convert float infinity to integer");
  return heap.integer(BigInt::from_double(v));
}

}  // namespace qw::text::jinja
