// Time zones: UTC offsets, and the files of the system's zone database (TZif, RFC 8536, with the POSIX rule
// of its footer for times beyond the table). Test: tests/apps/clock_test.cc
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace qw::tools {

// Seconds that a zone is ahead of UTC at a time; none where the file is no TZif file.
std::optional<int64_t> offset_of_tzif(std::string_view file, int64_t unix_seconds);
// The same by a POSIX TZ rule, as "CET-1CEST,M3.5.0,M10.5.0/3".
std::optional<int64_t> offset_of_posix_rule(std::string_view rule, int64_t unix_seconds);

// "UTC", "Z", "GMT", "UTC+8", "+08:00", "GMT-5:30": seconds ahead of UTC, at most 18 hours.
std::optional<int64_t> parse_utc_offset(std::string_view zone);
// "UTC", "UTC+08:00".
std::string utc_offset_name(int64_t seconds);

// The name of a zone in the folder of the database: as it is given, else without regard to case and with
// spaces for underscores, else a place alone ("tokyo" → "Asia/Tokyo").
std::optional<std::string> find_zone(const std::filesystem::path& database, std::string_view name);

// Civil date of a day counted from 1970-01-01 (proleptic Gregorian).
struct CivilDate {
  int64_t year = 1970;
  int month = 1, day = 1;
  int weekday = 4;  // 0: Sunday
};
CivilDate civil_date(int64_t days);
int64_t days_of(int64_t year, int month, int day);

}  // namespace qw::tools
