#include "text/local_time.h"

#include <time.h>

#include <array>
#include <charconv>
#include <chrono>
#include <memory>

namespace qw {
namespace {

bool leap(int year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int days_in(int year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return kDays[month - 1] + (month == 2 && leap(year));
}

// Reads exactly `n` digits.
bool number(std::string_view& text, size_t n, int& out) {
  if (text.size() < n) return false;
  for (size_t i = 0; i < n; ++i)
    if (text[i] < '0' || text[i] > '9') return false;
  std::from_chars(text.data(), text.data() + n, out);
  text.remove_prefix(n);
  return true;
}

bool mark(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text[0]) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

bool parse_clock(std::string_view text, LocalTime& t) {
  if (!number(text, 2, t.hour) || !mark(text, ":") || !number(text, 2, t.minute)) return false;
  if (text.empty()) return true;
  if (!mark(text, ":") || !number(text, 2, t.second)) return false;
  if (text.empty()) return true;
  if (!mark(text, ".") || text.empty() || text.size() > 6) return false;
  const size_t digits = text.size();
  if (!number(text, digits, t.microsecond)) return false;
  for (size_t i = digits; i < 6; ++i) t.microsecond *= 10;
  return true;
}

tm broken_down(const LocalTime& t) {
  tm out{};
  out.tm_year = t.year - 1900;
  out.tm_mon = t.month - 1;
  out.tm_mday = t.day;
  out.tm_hour = t.hour;
  out.tm_min = t.minute;
  out.tm_sec = t.second;
  out.tm_isdst = -1;
  for (int m = 1; m < t.month; ++m) out.tm_yday += days_in(t.year, m);
  out.tm_yday += t.day - 1;
  // Days since Monday 0001-01-01 in the proleptic Gregorian calendar.
  const int y = t.year - 1;
  out.tm_wday = (y * 365 + y / 4 - y / 100 + y / 400 + out.tm_yday + 1) % 7;
  return out;
}

// What datetime.strftime does itself: microseconds, and the zone, which a time without zone leaves empty.
std::string expand(std::string_view pattern, const LocalTime& t) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%' || i + 1 == pattern.size()) {
      out += pattern[i];
      continue;
    }
    const char code = pattern[++i];
    if (code == 'f') {
      out += fmt::format("{:06}", t.microsecond);
    } else if (code == ':' && i + 1 < pattern.size() && pattern[i + 1] == 'z') {
      ++i;
    } else if (code != 'z' && code != 'Z') {
      out.append({'%', code});
    }
  }
  return out;
}

}  // namespace

Result<LocalTime> LocalTime::parse(std::string_view text) {
  LocalTime t;
  std::string_view rest = text;
  bool ok = number(rest, 4, t.year) && mark(rest, "-") && number(rest, 2, t.month) && mark(rest, "-") &&
            number(rest, 2, t.day);
  if (ok && !rest.empty()) ok = mark(rest, "T ") && parse_clock(rest, t);
  ok = ok && t.year >= 1 && t.month >= 1 && t.month <= 12 && t.day >= 1 &&
       t.day <= days_in(t.year, t.month) && t.hour < 24 && t.minute < 60 && t.second < 60;
  if (!ok) return fail("template.time", {{"value", text}});
  return t;
}

LocalTime LocalTime::now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(since).count();
  const time_t seconds = static_cast<time_t>(micros / 1000000);
  tm t{};
  localtime_r(&seconds, &t);
  return {t.tm_year + 1900,
          t.tm_mon + 1,
          t.tm_mday,
          t.tm_hour,
          t.tm_min,
          t.tm_sec,
          static_cast<int>(micros % 1000000)};
}

std::string LocalTime::format(std::string_view pattern) const {
  const std::string expanded = expand(pattern, *this);
  if (expanded.empty()) return "";
  const tm t = broken_down(*this);
  const auto free_locale = [](locale_t l) { freelocale(l); };
  const std::unique_ptr<std::remove_pointer_t<locale_t>, decltype(free_locale)> c_locale(
      newlocale(LC_ALL_MASK, "C", nullptr), free_locale);
  // As CPython: grow until it fits or the pattern must have meant nothing.
  for (size_t size = 1024; size <= std::max<size_t>(1024, expanded.size() * 256); size *= 2) {
    std::string buffer(size, '\0');
    const size_t n = strftime_l(buffer.data(), size, expanded.c_str(), &t, c_locale.get());
    if (n > 0) return buffer.substr(0, n);
  }
  return "";
}

}  // namespace qw
