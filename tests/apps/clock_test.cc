// Zones and the clock. The system's database is used where it is there; the rules are also checked on their
// own.
#include "apps/tools/clock.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "apps/tools/time_zone.h"
#include "base/mmap.h"
#include "base/rng.h"

namespace qw::tools {
namespace {

const std::filesystem::path kDatabase = "/usr/share/zoneinfo";

int64_t utc(int64_t year, int month, int day, int hour = 0, int minute = 0) {
  return days_of(year, month, day) * 86400 + hour * 3600 + minute * 60;
}

std::string reading(int64_t now, std::string_view zone, const std::string& own = "UTC") {
  const auto r = read_clock({[now] { return now; }, own, kDatabase}, zone);
  return r ? fmt::format("{} {} {} {}", r->date, r->time, r->weekday, r->zone) : r.error();
}

TEST(Clock, DatesOfManyYears) {
  EXPECT_EQ(days_of(1970, 1, 1), 0);
  EXPECT_EQ(civil_date(0).weekday, 4);
  for (int64_t day = -800000; day < 800000; day += 17) {
    const CivilDate d = civil_date(day);
    ASSERT_EQ(days_of(d.year, d.month, d.day), day);
    const std::time_t seconds = day * 86400;
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    ASSERT_EQ(d.year, parts.tm_year + 1900);
    ASSERT_EQ(d.month, parts.tm_mon + 1);
    ASSERT_EQ(d.day, parts.tm_mday);
    ASSERT_EQ(d.weekday, parts.tm_wday);
  }
}

TEST(Clock, UtcOffsets) {
  const auto offset = [](std::string_view zone) { return parse_utc_offset(zone).value_or(-1); };
  for (const char* zone : {"UTC", "GMT", "Z", "utc", "UTC+0", "+00:00"}) EXPECT_EQ(offset(zone), 0) << zone;
  EXPECT_EQ(offset("UTC+8"), 8 * 3600);
  EXPECT_EQ(offset("+08:00"), 8 * 3600);
  EXPECT_EQ(offset("GMT-5:30"), -19800);
  EXPECT_EQ(offset("+0545"), 20700);
  for (const char* zone : {"", "8", "UTC8", "UTC+", "+19", "UTC+8x", "+8:", "CET"})
    EXPECT_EQ(offset(zone), -1) << zone;
  EXPECT_EQ(utc_offset_name(0), "UTC");
  EXPECT_EQ(utc_offset_name(20700), "UTC+05:45");
  EXPECT_EQ(utc_offset_name(-9 * 3600 - 1800), "UTC-09:30");
}

TEST(Clock, InUtcAndByOffset) {
  const int64_t now = utc(2026, 11, 22, 14, 5) + 59;
  EXPECT_EQ(reading(now, ""), "2026-11-22 14:05 Sunday UTC");
  EXPECT_EQ(reading(now, "UTC+10"), "2026-11-23 00:05 Monday UTC+10:00");
  EXPECT_EQ(reading(now, "", "-15:00"), "2026-11-21 23:05 Saturday UTC-15:00");
  EXPECT_EQ(reading(-1, "UTC"), "1969-12-31 23:59 Wednesday UTC");
  EXPECT_EQ(reading(now, "", "no such zone"), "2026-11-22 14:05 Sunday UTC");
  for (const char* zone : {"Nowhere/City", "../etc/passwd", "/etc/passwd", "Europe"})
    EXPECT_EQ(reading(now, zone), std::string("unknown zone ") + zone);
}

TEST(Clock, ZonesByNameAndPlace) {
  if (!std::filesystem::exists(kDatabase / "Asia/Tokyo")) GTEST_SKIP() << "no zone database";
  const int64_t now = utc(2026, 11, 22, 14, 5);
  EXPECT_EQ(reading(now, "Asia/Tokyo"), "2026-11-22 23:05 Sunday Asia/Tokyo");
  EXPECT_EQ(reading(now, "tokyo"), "2026-11-22 23:05 Sunday Asia/Tokyo");
  EXPECT_EQ(reading(now, "New York"), "2026-11-22 09:05 Sunday America/New_York");
  EXPECT_EQ(reading(utc(2026, 7, 1, 12), "America/New_York"), "2026-07-01 08:00 Wednesday America/New_York");
  EXPECT_EQ(reading(utc(2060, 7, 1, 12), "Europe/Berlin"), "2060-07-01 14:00 Thursday Europe/Berlin");
  EXPECT_EQ(reading(utc(2060, 1, 1, 12), "Europe/Berlin"), "2060-01-01 13:00 Thursday Europe/Berlin");
}

TEST(Clock, PosixRules) {
  const auto hours = [](std::string_view rule, int64_t at) {
    const auto offset = offset_of_posix_rule(rule, at);
    return offset ? static_cast<double>(*offset) / 3600 : -99.0;
  };
  EXPECT_EQ(hours("JST-9", 0), 9);
  EXPECT_EQ(hours("<+0545>-5:45", 0), 5.75);
  const char* berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
  EXPECT_EQ(hours(berlin, utc(2027, 3, 28, 0, 59)), 1);
  EXPECT_EQ(hours(berlin, utc(2027, 3, 28, 1, 0)), 2);
  EXPECT_EQ(hours(berlin, utc(2027, 10, 31, 0, 59)), 2);
  EXPECT_EQ(hours(berlin, utc(2027, 10, 31, 1, 0)), 1);
  const char* sydney = "AEST-10AEDT,M10.1.0,M4.1.0/3";  // summer over the turn of the year
  EXPECT_EQ(hours(sydney, utc(2027, 1, 1)), 11);
  EXPECT_EQ(hours(sydney, utc(2027, 6, 1)), 10);
  EXPECT_EQ(hours("EST5EDT,J60,J305", utc(2028, 2, 29, 12)), -5);
  for (const char* bad :
       {"", "A1", "CET", "CET-1CEST", "CET-1CEST,M13.1.0,M1.1.0", "CET-1CEST,M3.5.0", "JST-9x"})
    EXPECT_EQ(hours(bad, 0), -99.0) << bad;
}

// Every zone against the C library, past and future.
TEST(Clock, AgreesWithTheCLibrary) {
  if (!std::filesystem::exists(kDatabase / "Asia/Tokyo")) GTEST_SKIP() << "no zone database";
  const Rng rng(3);
  uint64_t n = 0;
  for (const char* zone :
       {"Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "Africa/Casablanca",
        "Asia/Kathmandu", "America/Santiago", "Pacific/Apia", "Europe/Dublin", "Antarctica/Troll"}) {
    const auto file = read_file(kDatabase / zone);
    ASSERT_TRUE(file) << zone;
    ::setenv("TZ", zone, 1);
    ::tzset();
    for (int i = 0; i < 400; ++i) {
      const auto at = static_cast<std::time_t>(rng.below(4'000'000'000ULL, n++)) - 500'000'000;
      std::tm parts{};
      ::localtime_r(&at, &parts);
      const auto offset = offset_of_tzif(*file, at);
      ASSERT_TRUE(offset) << zone;
      ASSERT_EQ(*offset, parts.tm_gmtoff) << zone << " " << at;
    }
  }
  ::unsetenv("TZ");
  ::tzset();
}

TEST(Clock, DamagedZoneFilesAreRefused) {
  if (!std::filesystem::exists(kDatabase / "Europe/Berlin")) GTEST_SKIP() << "no zone database";
  const std::string file = *read_file(kDatabase / "Europe/Berlin");
  const Rng rng(5);
  uint64_t n = 0;
  for (size_t size = 0; size < file.size(); size += 7)
    (void)offset_of_tzif(file.substr(0, size), 1'000'000'000);
  for (int i = 0; i < 3000; ++i) {
    std::string bad = file;
    for (int k = 0; k < 4; ++k) {
      const size_t at = rng.below(i % 2 == 0 ? 90 : bad.size(), n++);
      bad[at] = static_cast<char>(rng.below(256, n++));
    }
    (void)offset_of_tzif(bad, 4'000'000'000);
  }
  EXPECT_FALSE(offset_of_tzif("", 0));
  EXPECT_FALSE(offset_of_tzif("TZif2", 0));
}

}  // namespace
}  // namespace qw::tools
