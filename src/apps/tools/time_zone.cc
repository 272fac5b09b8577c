#include "apps/tools/time_zone.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace qw::tools {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDay = 86400, kHour = 3600;
constexpr int64_t kMaxOffset = 18 * kHour;
constexpr size_t kHeaderBytes = 44;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}

// Big-endian, n bytes, signed.
int64_t number_at(std::string_view s, size_t at, size_t n) {
  auto value = static_cast<uint64_t>(static_cast<int64_t>(static_cast<signed char>(s[at])));
  for (size_t i = 1; i < n; ++i) value = value << 8 | static_cast<unsigned char>(s[at + i]);
  return static_cast<int64_t>(value);
}

struct Header {
  size_t ut = 0, std_wall = 0, leap = 0, times = 0, types = 0, chars = 0;
  // Bytes of the data block behind the header.
  size_t size(size_t time_bytes) const {
    return times * time_bytes + times + types * 6 + chars + leap * (time_bytes + 4) + std_wall + ut;
  }
};

std::optional<Header> header_at(std::string_view file, size_t at) {
  if (file.size() < at + kHeaderBytes || file.substr(at, 4) != "TZif") return std::nullopt;
  size_t counts[6];
  for (size_t i = 0; i < 6; ++i) {
    const int64_t n = number_at(file, at + 20 + 4 * i, 4);
    if (n < 0 || n > 1'000'000) return std::nullopt;
    counts[i] = static_cast<size_t>(n);
  }
  return Header{counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]};
}

// A POSIX TZ rule, read from the front.
class RuleReader {
 public:
  explicit RuleReader(std::string_view rest) : rest_(rest) {}

  bool done() const { return rest_.empty(); }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool name() {
    const bool quoted = take('<');
    size_t n = 0;
    const auto belongs = [&](char c) {
      const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
      return letter || (quoted && (is_digit(c) || c == '+' || c == '-'));
    };
    while (n < rest_.size() && belongs(rest_[n])) ++n;
    rest_.remove_prefix(n);
    return n >= 3 && (!quoted || take('>'));
  }
  std::optional<int64_t> whole() {
    int64_t value = 0;
    size_t n = 0;
    for (; n < rest_.size() && is_digit(rest_[n]) && n < 6; ++n) value = value * 10 + (rest_[n] - '0');
    rest_.remove_prefix(n);
    return n > 0 ? std::optional(value) : std::nullopt;
  }
  // [+-]h[:m[:s]] in seconds.
  std::optional<int64_t> time() {
    const int64_t sign = take('-') ? -1 : 1;
    if (sign > 0) take('+');
    const auto hours = whole();
    if (!hours) return std::nullopt;
    int64_t seconds = *hours * kHour;
    for (const int64_t unit : {int64_t{60}, int64_t{1}}) {
      if (!take(':')) break;
      const auto part = whole();
      if (!part) return std::nullopt;
      seconds += *part * unit;
    }
    return sign * seconds;
  }
  // Seconds from the start of the year, by the local clock before the change: Mm.w.d, Jn or n, then /time.
  std::optional<int64_t> change(int64_t year);

 private:
  std::string_view rest_;
};

bool leap(int64_t year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

std::optional<int64_t> RuleReader::change(int64_t year) {
  const int64_t start = days_of(year, 1, 1);
  int64_t day = 0;
  if (take('M')) {
    const auto month = whole();
    if (!month || *month < 1 || *month > 12 || !take('.')) return std::nullopt;
    const auto week = whole();
    if (!week || *week < 1 || *week > 5 || !take('.')) return std::nullopt;
    const auto weekday = whole();
    if (!weekday || *weekday > 6) return std::nullopt;
    const auto m = static_cast<int>(*month);
    const int64_t first = days_of(year, m, 1);
    const int64_t next = m == 12 ? days_of(year + 1, 1, 1) : days_of(year, m + 1, 1);
    int64_t at = first + (*weekday - civil_date(first).weekday + 7) % 7 + (*week - 1) * 7;
    if (at >= next) at -= 7;  // the fifth is the last
    day = at - start;
  } else {
    const bool without_leap_day = take('J');
    const auto n = whole();
    if (!n || *n > 365 || (without_leap_day && *n < 1)) return std::nullopt;
    day = without_leap_day ? *n - 1 + (leap(year) && *n >= 60 ? 1 : 0) : *n;
  }
  int64_t time = 2 * kHour;
  if (take('/')) {
    const auto given = this->time();
    if (!given) return std::nullopt;
    time = *given;
  }
  return day * kDay + time;
}

std::string folded(std::string_view s) {
  std::string out(s);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == ' ') c = '_';
  }
  return out;
}

// Names below the database's folder, sorted; its copies of all zones with other rules for leap seconds are
// left out.
std::vector<std::string> zone_names(const fs::path& database) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::recursive_directory_iterator it(database, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().lexically_relative(database).string();
    if (name == "posix" || name == "right") it.disable_recursion_pending();
    std::error_code ignored;
    if (it->is_regular_file(ignored) && name.find('.') == name.npos) out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

// Days to dates by Howard Hinnant's algorithm (chrono-Compatible Low-Level Date Algorithms): years begin in
// March, eras have 400 years.
CivilDate civil_date(int64_t days) {
  const int64_t z = days + 719468;
  const int64_t era = floor_div(z, 146097);
  const int64_t doe = z - era * 146097;
  const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const int64_t mp = (5 * doy + 2) / 153;
  const int month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  return {.year = yoe + era * 400 + (month <= 2 ? 1 : 0),
          .month = month,
          .day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1),
          .weekday = static_cast<int>(((days + 4) % 7 + 7) % 7)};
}

int64_t days_of(int64_t year, int month, int day) {
  const int64_t y = year - (month <= 2 ? 1 : 0);
  const int64_t era = floor_div(y, 400);
  const int64_t yoe = y - era * 400;
  const int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

std::optional<int64_t> offset_of_posix_rule(std::string_view rule, int64_t unix_seconds) {
  RuleReader in(rule);
  if (!in.name()) return std::nullopt;
  const auto west = in.time();
  if (!west) return std::nullopt;
  const int64_t standard = -*west;
  if (in.done()) return standard;
  if (!in.name()) return std::nullopt;
  int64_t summer = standard + kHour;
  if (!in.take(',')) {
    const auto given = in.time();
    if (!given || !in.take(',')) return std::nullopt;
    summer = -*given;
  }
  const int64_t year = civil_date(floor_div(unix_seconds + standard, kDay)).year;
  const auto begin = in.change(year);
  if (!begin || !in.take(',')) return std::nullopt;
  const auto end = in.change(year);
  if (!end || !in.done()) return std::nullopt;
  const int64_t start_of_year = days_of(year, 1, 1) * kDay;
  const int64_t begins = start_of_year + *begin - standard, ends = start_of_year + *end - summer;
  const bool is_summer = begins < ends ? unix_seconds >= begins && unix_seconds < ends
                                       : unix_seconds >= begins || unix_seconds < ends;
  return is_summer ? summer : standard;
}

std::optional<int64_t> offset_of_tzif(std::string_view file, int64_t unix_seconds) {
  const auto first = header_at(file, 0);
  if (!first || file[4] < '2') return std::nullopt;  // version 1 ends in 2037; no system has it any more
  const size_t second_at = kHeaderBytes + first->size(4);
  const auto header = header_at(file, second_at);
  if (!header || header->types == 0) return std::nullopt;
  const size_t data = second_at + kHeaderBytes;
  if (file.size() < data + header->size(8)) return std::nullopt;
  const size_t indices = data + header->times * 8, types = indices + header->times;
  size_t before = 0;  // transitions up to the time
  while (before < header->times && number_at(file, data + before * 8, 8) <= unix_seconds) ++before;
  if (before == header->times) {
    std::string_view footer = file.substr(data + header->size(8));
    if (footer.size() > 2 && footer.front() == '\n') {
      footer = footer.substr(1, footer.find('\n', 1) - 1);
      if (const auto offset = offset_of_posix_rule(footer, unix_seconds)) return offset;
    }
  }
  const size_t type = before == 0 ? 0 : static_cast<unsigned char>(file[indices + before - 1]);
  if (type >= header->types) return std::nullopt;
  return number_at(file, types + type * 6, 4);
}

std::optional<int64_t> parse_utc_offset(std::string_view zone) {
  for (const std::string_view prefix : {"UTC", "GMT", "utc", "gmt"}) {
    if (!zone.starts_with(prefix)) continue;
    zone.remove_prefix(prefix.size());
    if (zone.empty()) return 0;
    break;
  }
  if (zone == "Z" || zone == "z") return 0;
  if (!zone.starts_with('+') && !zone.starts_with('-')) return std::nullopt;
  // +0530 is +05:30.
  std::string spelled(zone);
  if (spelled.size() == 5 && spelled.find(':') == spelled.npos) spelled.insert(3, 1, ':');
  RuleReader in(spelled);
  const auto seconds = in.time();
  if (!seconds || !in.done() || std::abs(*seconds) > kMaxOffset) return std::nullopt;
  return seconds;
}

std::string utc_offset_name(int64_t seconds) {
  if (seconds == 0) return "UTC";
  const int64_t minutes = std::abs(seconds) / 60;
  return fmt::format("UTC{}{:02}:{:02}", seconds < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

std::optional<std::string> find_zone(const fs::path& database, std::string_view name) {
  if (name.empty() || name.size() > 64 || name.find('.') != name.npos || name.front() == '/')
    return std::nullopt;
  std::error_code error;
  if (fs::is_regular_file(database / name, error)) return std::string(name);
  const std::string wanted = folded(name);
  std::optional<std::string> place;
  for (const std::string& zone : zone_names(database)) {
    const std::string low = folded(zone);
    if (low == wanted) return zone;
    if (!place && low.ends_with("/" + wanted)) place = zone;
  }
  return place;
}

}  // namespace qw::tools
