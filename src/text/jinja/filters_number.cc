// Filters over numbers. Spec: jinja2.filters. Test: tests/text/chat_template_test.cc
#include <algorithm>
#include <cmath>

#include "text/jinja/args.h"
#include "text/jinja/arithmetic.h"
#include "text/jinja/builtins.h"
#include "text/jinja/number_text.h"
#include "text/jinja/operators.h"

namespace qw::text::jinja {
namespace {

[[noreturn]] void fail_undefined(const Value& v) {
  fail_runtime(PyClass::undefined, "{}", v.undefined->message());
}

Value absolute(Interpreter& in, const Value& v, const Args& args) {
  bind_none("abs", args);
  if (!v.is_number()) type_error("bad operand type for abs(): '{}'", type_name(v));
  if (v.is(Kind::real)) return Value::of(std::fabs(v.real));
  const BigInt big = to_big(v);
  return in.heap().integer(big.negative() ? -big : big);
}

Value to_integer(Interpreter& in, const Value& v, const Args& args) {
  const auto [fallback, base] = bind({"int"}, args, {"default", "base"});
  const Value otherwise = value_or(fallback, Value::of(0));
  if (v.is(Kind::undefined)) fail_undefined(v);
  if (v.is_integral()) return in.heap().integer(to_big(v));
  if (v.is(Kind::real)) return std::isnan(v.real) ? otherwise : truncate(in.heap(), v.real);
  if (!v.is_string()) return otherwise;
  in.heap().touch(v.text().size() * 16);
  if (const auto big = parse_integer(v.text(), base.is(Kind::missing) ? 10 : to_index(base)))
    return in.heap().integer(*big);
  const auto real = parse_real(v.text());
  return real && std::isfinite(*real) ? truncate(in.heap(), *real) : otherwise;
}

Value to_float(Interpreter& in, const Value& v, const Args& args) {
  const auto [fallback] = bind({"float"}, args, {"default"});
  if (v.is(Kind::undefined)) fail_undefined(v);
  if (v.is_number()) return Value::of(to_real(v));
  if (v.is_string()) {
    in.heap().touch(v.text().size());
    if (const auto real = parse_real(v.text())) return Value::of(*real);
  }
  return value_or(fallback, Value::of(0.0));
}

Value round(Interpreter& in, const Value& v, const Args& args) {
  const auto [precision, method] = bind({"round"}, args, {"precision", "method"});
  const std::string_view how = method.is(Kind::missing) ? "common" : need_text(method, "method");
  if (how != "common" && how != "ceil" && how != "floor")
    fail_runtime(PyClass::other, "method must be common, ceil or floor");
  if (!v.is_number()) type_error("type {} doesn't define __round__ method", type_name(v));
  const Value digits = value_or(precision, Value::of(0));
  if (how == "common") {
    if (!digits.is(Kind::none)) return round_number(in.heap(), v, to_index(digits));
    const Value rounded = round_number(in.heap(), v, 0);
    return v.is(Kind::real) ? truncate(in.heap(), rounded.real) : rounded;
  }
  const Value unit = binary_op(in, BinaryOp::pow, Value::of(10), digits);
  Value scaled = binary_op(in, BinaryOp::mul, v, unit);
  if (scaled.is(Kind::real))
    scaled = truncate(in.heap(), how == "ceil" ? std::ceil(scaled.real) : std::floor(scaled.real));
  return binary_op(in, BinaryOp::div, scaled, unit);
}

Value filesizeformat(Interpreter& in, const Value& v, const Args& args) {
  const auto [binary] = bind({"filesizeformat"}, args, {"binary"});
  if (!v.is_number() && !v.is_string()) type_error("float() argument must be a string or a real number");
  const auto parsed = v.is_string() ? parse_real(v.text()) : std::optional(to_real(v));
  if (!parsed) value_error("could not convert string to float");
  const bool is_binary = truth_or(binary, false);
  const double bytes = *parsed, base = is_binary ? 1024 : 1000;
  if (bytes == 1) return in.heap().string("1 Byte");
  if (bytes < base) return in.heap().string(fmt::format("{} Bytes", static_cast<int64_t>(bytes)));
  static constexpr std::string_view kDecimal[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
  static constexpr std::string_view kBinary[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
  double unit = base * base;
  size_t i = 0;
  while (i + 1 < std::size(kDecimal) && bytes >= unit) unit *= base, ++i;
  return in.heap().string(
      fmt::format("{:.1f} {}", base * bytes / unit, is_binary ? kBinary[i] : kDecimal[i]));
}

constexpr FilterRow kRows[] = {
    {"abs", absolute},
    {"int", to_integer},
    {"float", to_float},
    {"round", round},
    {"filesizeformat", filesizeformat},
};

}  // namespace

FilterFunction find_number_filter(std::string_view name) {
  const auto* it =
      std::find_if(std::begin(kRows), std::end(kRows), [&](const FilterRow& r) { return r.name == name; });
  return it == std::end(kRows) ? nullptr : it->function;
}

}  // namespace qw::text::jinja
