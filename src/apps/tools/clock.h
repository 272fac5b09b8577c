// The clock of qw chat: date, time and weekday in a zone. Test: tests/apps/clock_test.cc
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace qw::tools {

// Where the time comes from.
struct ClockSource {
  std::function<int64_t()> unix_seconds;
  std::string zone;                // where none is asked for; a name or a UTC offset
  std::filesystem::path database;  // of zones

  // The system's time, zone (TZ, else /etc/localtime) and database (TZDIR, else /usr/share/zoneinfo).
  static ClockSource system();
};

struct ClockReading {
  std::string date;     // "2026-11-22"
  std::string time;     // "14:05"
  std::string weekday;  // "Sunday"
  std::string zone;     // "Europe/Berlin", "UTC", "UTC+08:00"
};

// `zone`: an IANA name, a place of one ("Tokyo"), or a UTC offset; "" is the source's own. Else what is
// wrong, as a phrase for the model.
tl::expected<ClockReading, std::string> read_clock(const ClockSource& source, std::string_view zone);

}  // namespace qw::tools
