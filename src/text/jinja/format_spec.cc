// Format specifications and the digits of numbers.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja/arithmetic.h"
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

constexpr int64_t kMaxWidth = int64_t{1} << 40;  // more is refused by the budget anyway

class SpecReader {
 public:
  explicit SpecReader(std::string_view text) : text_(text) {}

  FormatSpec read() {
    read_align();
    if (at("+- ")) spec_.sign = text_[i_++];
    if (at("z")) spec_.no_negative_zero = true, ++i_;
    if (at("#")) spec_.alternate = true, ++i_;
    if (at("0")) {
      ++i_;
      if (!fill_given_) spec_.fill.assign(1, '0');
      if (spec_.align == 0) spec_.align = '0';  // "=" for numbers, "<" for text
    }
    spec_.width = number(0);
    if (at(",_")) spec_.grouping = text_[i_++];
    if (at(".")) {
      ++i_;
      spec_.precision = number(-1);
      if (spec_.precision < 0) value_error("Format specifier missing precision");
    }
    if (i_ < text_.size()) spec_.type = text_[i_++];
    if (i_ < text_.size()) value_error("Invalid format specifier '{}'", text_);
    check_grouping();
    return spec_;
  }

 private:
  bool at(std::string_view any_of) const {
    return i_ < text_.size() && any_of.find(text_[i_]) != any_of.npos;
  }

  void read_align() {
    if (text_.empty()) return;
    size_t after = 0;
    next_cp(text_, after);
    static constexpr std::string_view kAligns = "<>=^";
    if (after < text_.size() && kAligns.find(text_[after]) != kAligns.npos) {
      spec_.fill = std::string(text_.substr(0, after));
      spec_.align = text_[after];
      fill_given_ = true;
      i_ = after + 1;
    } else if (kAligns.find(text_[0]) != kAligns.npos) {
      spec_.align = text_[0];
      i_ = 1;
    }
  }

  void check_grouping() const {
    static constexpr std::string_view kDecimal = "deEfFgG%", kPowers = "boxX";
    const char type = spec_.type;
    if (spec_.grouping == 0 || type == 0 || kDecimal.find(type) != kDecimal.npos) return;
    if (spec_.grouping == '_' && kPowers.find(type) != kPowers.npos) return;
    value_error("Cannot specify '{}' with '{}'.", spec_.grouping, type);
  }

  int64_t number(int64_t absent) {
    if (!at("0123456789")) return absent;
    int64_t n = 0;
    for (; at("0123456789"); ++i_) n = std::min(n * 10 + (text_[i_] - '0'), kMaxWidth);
    return n;
  }

  std::string_view text_;
  size_t i_ = 0;
  bool fill_given_ = false;
  FormatSpec spec_;
};

// Digits in groups, from the right of the whole part; zeros in front to `width` characters count as digits.
std::string grouped(const std::string& digits, char separator, size_t group) {
  size_t whole = 0;
  while (whole < digits.size() && std::isxdigit(static_cast<unsigned char>(digits[whole])) != 0) ++whole;
  if (const size_t e = digits.find('e'); group == 3 && e != std::string::npos) whole = std::min(whole, e);
  std::string out;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % group == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(whole);
}

// Zero-fills so that the grouped number is `width` wide, as Python does ("{:06,}" of 12 is "00,012").
std::string zero_grouped(std::string digits, const FormatSpec& spec, size_t group, int64_t width) {
  std::string out = grouped(digits, spec.grouping, group);
  while (static_cast<int64_t>(out.size()) < width) {
    digits.insert(digits.begin(), '0');
    out = grouped(digits, spec.grouping, group);
  }
  return out;
}

std::string strip_zeros(std::string digits) {
  const size_t e = std::min(digits.find('e'), digits.size());
  if (digits.substr(0, e).find('.') == std::string::npos) return digits;
  size_t end = e;
  while (digits[end - 1] == '0') --end;
  if (digits[end - 1] == '.') --end;
  return digits.substr(0, end) + digits.substr(e);
}

std::string chars_of(Heap& heap, double v, std::chars_format format, int64_t precision) {
  heap.reserve(static_cast<size_t>(precision) + 400);
  if (precision > (int64_t{1} << 20)) fail_limit("precision too large");
  std::string buffer(static_cast<size_t>(precision) + 400, '\0');
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), v, format, static_cast<int>(precision));
  buffer.resize(static_cast<size_t>(end.ptr - buffer.data()));
  return buffer;
}

std::string general_digits(Heap& heap, double v, int64_t precision, bool alternate, bool add_dot_0) {
  if (precision == 0) precision = 1;
  const std::string scientific = chars_of(heap, v, std::chars_format::scientific, precision - 1);
  int exponent = 0;
  const char* e = scientific.data() + scientific.find('e') + 1;
  std::from_chars(e + (*e == '+'), scientific.data() + scientific.size(), exponent);
  if (exponent < -4 || exponent + 1 > precision - (add_dot_0 ? 1 : 0))
    return alternate ? scientific : strip_zeros(scientific);
  std::string fixed =
      chars_of(heap, v, std::chars_format::fixed, std::max<int64_t>(precision - 1 - exponent, 0));
  if (!alternate) fixed = strip_zeros(fixed);
  if ((alternate || add_dot_0) && fixed.find('.') == std::string::npos) fixed += add_dot_0 ? ".0" : ".";
  return fixed;
}

}  // namespace

std::string real_digits(Heap& heap, double v, char type, int64_t precision, bool alternate, bool add_dot_0) {
  v = std::fabs(v);
  const char lower = static_cast<char>(type | 32);
  std::string out;
  if (!std::isfinite(v)) {
    out = std::isnan(v) ? "nan" : "inf";
  } else if (type == 'r') {
    out = repr_real(v);
  } else if (type == '%' || lower == 'f') {
    out = chars_of(heap, type == '%' ? v * 100 : v, std::chars_format::fixed, precision < 0 ? 6 : precision);
    if (alternate && precision == 0) out += '.';
  } else if (lower == 'e') {
    out = chars_of(heap, v, std::chars_format::scientific, precision < 0 ? 6 : precision);
    if (alternate && precision == 0)
      out.insert(out.begin() + static_cast<std::ptrdiff_t>(out.find('e')), '.');
  } else {
    out = general_digits(heap, v, precision < 0 ? 6 : precision, alternate, add_dot_0);
  }
  if (type == 'E' || type == 'F' || type == 'G')
    for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

std::string pad_text(Heap& heap, const FormatSpec& spec, std::string_view text, char default_align) {
  const int64_t pad = spec.width - static_cast<int64_t>(count_cps(text));
  if (pad <= 0) return std::string(text);
  const char align = spec.align == 0 || spec.align == '0' ? default_align : spec.align;
  const int64_t left = align == '>' ? pad : align == '^' ? pad / 2 : 0;
  return padded(heap, text, spec.fill, left, pad - left);
}

std::string pad_number(Heap& heap, const FormatSpec& spec, bool negative, std::string_view prefix,
                       std::string digits) {
  std::string head(negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign));
  head += prefix;
  const bool inside = spec.align == '=' || spec.align == '0';
  const size_t group = spec.type == 'b' || spec.type == 'o' || (spec.type | 32) == 'x' ? 4 : 3;
  const int64_t room = spec.width - static_cast<int64_t>(head.size());
  heap.reserve(static_cast<size_t>(std::max<int64_t>(spec.width, 0)));
  if (spec.grouping != 0) {
    if (spec.width > 10000) fail_limit("width too large");
    const bool zeros = inside && spec.fill == "0";
    digits = zeros ? zero_grouped(digits, spec, group, room) : grouped(digits, spec.grouping, group);
  }
  if (!inside) return pad_text(heap, spec, head + digits, '>');
  const int64_t pad = room - static_cast<int64_t>(count_cps(digits));
  return head + padded(heap, digits, spec.fill, std::max<int64_t>(pad, 0), 0);
}

namespace {

std::string format_text(Heap& heap, const FormatSpec& spec, std::string_view text) {
  if (spec.type != 0 && spec.type != 's')
    value_error("Unknown format code '{}' for object of type 'str'", spec.type);
  if (spec.sign != '-') value_error("Sign not allowed in string format specifier");
  if (spec.align == '=') value_error("'=' alignment not allowed in string format specifier");
  if (spec.alternate || spec.grouping != 0) value_error("format specifier not allowed for strings");
  if (spec.precision >= 0) text = text.substr(0, offset_of_cp(text, static_cast<size_t>(spec.precision)));
  return pad_text(heap, spec, text, '<');
}

std::string format_real(Heap& heap, FormatSpec spec, double v) {
  static constexpr std::string_view kTypes = "eEfFgGn%";
  if (spec.type != 0 && kTypes.find(spec.type) == kTypes.npos)
    value_error("Unknown format code '{}' for object of type 'float'", spec.type);
  char type = spec.type == 'n' ? 'g' : spec.type;
  const bool plain = type == 0;
  if (plain) type = spec.precision < 0 ? 'r' : 'g';
  std::string digits = real_digits(heap, v, type, spec.precision, spec.alternate, plain);
  bool negative = std::signbit(v) && !std::isnan(v);
  if (spec.no_negative_zero && digits.find_first_of("123456789") == digits.npos) negative = false;
  if (type == '%') digits += '%';
  return pad_number(heap, spec, negative, "", std::move(digits));
}

std::string format_integer(Interpreter& in, const FormatSpec& spec, const Value& v) {
  if (spec.type != 0 && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos)
    return format_real(in.heap(), spec, to_real(v));
  if (spec.precision >= 0) value_error("Precision not allowed in integer format specifier");
  const BigInt big = to_big(v);
  if (spec.type == 'c') {
    const auto cp = big.small();
    if (!cp || *cp < 0 || *cp > 0x10FFFF) fail_runtime(PyClass::overflow, "%c arg not in range(0x110000)");
    std::string text;
    append_cp(text, static_cast<char32_t>(*cp));
    return pad_text(in.heap(), spec, text, '<');
  }
  int base = 10;
  std::string_view prefix;
  switch (spec.type) {
    case 'b':
      base = 2, prefix = "0b";
      break;
    case 'o':
      base = 8, prefix = "0o";
      break;
    case 'x':
      base = 16, prefix = "0x";
      break;
    case 'X':
      base = 16, prefix = "0X";
      break;
    case 0:
    case 'd':
    case 'n':
      break;
    default:
      value_error("Unknown format code '{}' for object of type 'int'", spec.type);
  }
  std::string digits = base == 10 ? repr_integer(v) : big.digits(base);
  if (digits[0] == '-') digits.erase(0, 1);
  if (spec.type == 'X') digits = to_upper(digits);
  return pad_number(in.heap(), spec, big.negative(), spec.alternate ? prefix : "", std::move(digits));
}

}  // namespace

std::string format_value(Interpreter& in, const Value& v, std::string_view spec_text) {
  if (spec_text.empty()) return str(in, v);
  if (!v.is_string() && !v.is_number())
    type_error("unsupported format string passed to {}.__format__", type_name(v));
  const FormatSpec spec = SpecReader(spec_text).read();
  if (v.is_string()) return format_text(in.heap(), spec, v.text());
  if (v.is(Kind::real)) return format_real(in.heap(), spec, v.real);
  return format_integer(in, spec, v);
}

}  // namespace qw::text::jinja
