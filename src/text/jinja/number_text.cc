#include "text/jinja/number_text.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

constexpr size_t kMaxDigits = 4300;

// Blanks stripped, digits of other scripts made ASCII.
std::string ascii_number(std::string_view text) {
  text = strip_space(text, true, true);
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const char32_t cp = next_cp(text, i);
    const int digit = decimal_value(cp);
    if (digit >= 0) {
      out += static_cast<char>('0' + digit);
    } else {
      out += cp < 0x80 ? static_cast<char>(cp) : '?';
    }
  }
  return out;
}

// Removes underscores between digits; false where one stands elsewhere.
bool remove_underscores(std::string& text, bool after_prefix) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const bool left = i == 0 ? after_prefix : std::isalnum(static_cast<unsigned char>(text[i - 1])) != 0;
    const bool right = i + 1 < text.size() && std::isalnum(static_cast<unsigned char>(text[i + 1])) != 0;
    if (!left || !right) return false;
  }
  text = out;
  return true;
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 32);
  return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

}  // namespace

std::optional<BigInt> parse_integer(std::string_view text, int64_t base) {
  if (base < 0 || base == 1 || base > 36) return std::nullopt;
  std::string s = ascii_number(text);
  const bool minus = !s.empty() && s[0] == '-';
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) s.erase(0, 1);
  bool prefixed = false;
  if (s.size() > 1 && s[0] == '0') {
    const char p = static_cast<char>(s[1] | 32);
    const int named = p == 'b' ? 2 : p == 'o' ? 8 : p == 'x' ? 16 : 0;
    if (named != 0 && (base == 0 || base == named)) {
      s.erase(0, 2);
      base = named;
      prefixed = true;
    } else if (base == 0 && s.find_first_not_of("0_") != std::string::npos) {
      return std::nullopt;
    }
  }
  if (base == 0) base = 10;
  if (!remove_underscores(s, prefixed) || s.empty()) return std::nullopt;
  for (const char c : s)
    if (digit_value(c) >= base) return std::nullopt;
  const bool power_of_two = (base & (base - 1)) == 0;
  if (s.size() > (power_of_two ? 13000 : kMaxDigits)) return std::nullopt;
  const BigInt out = BigInt::parse(s, static_cast<int>(base));
  return minus ? -out : out;
}

std::optional<double> parse_real(std::string_view text) {
  std::string s = ascii_number(text);
  const bool minus = !s.empty() && s[0] == '-';
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) s.erase(0, 1);
  if (s.find('_') != std::string::npos) {
    for (size_t i = 0; i < s.size(); ++i) {
      const auto digit = [&](size_t k) { return k < s.size() && s[k] >= '0' && s[k] <= '9'; };
      if (s[i] == '_' && (i == 0 || !digit(i - 1) || !digit(i + 1))) return std::nullopt;
    }
    std::erase(s, '_');
  }
  const std::string lower = to_lower(s);
  double v = 0;
  if (lower == "inf" || lower == "infinity") {
    v = std::numeric_limits<double>::infinity();
  } else if (lower == "nan") {
    v = std::numeric_limits<double>::quiet_NaN();
  } else {
    if (s.empty() || (s[0] != '.' && (s[0] < '0' || s[0] > '9'))) return std::nullopt;
    const auto end = std::from_chars(s.data(), s.data() + s.size(), v);
    if (end.ptr != s.data() + s.size() || end.ec == std::errc::invalid_argument) return std::nullopt;
    if (end.ec == std::errc::result_out_of_range) {
      const size_t e = lower.find('e');
      v = e != std::string::npos && lower[e + 1] == '-' ? 0 : std::numeric_limits<double>::infinity();
    }
  }
  return minus ? -v : v;
}

}  // namespace qw::text::jinja
