#include "apps/tools/clock.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "apps/tools/time_zone.h"
#include "base/env.h"
#include "base/mmap.h"

namespace qw::tools {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDay = 86400;
constexpr size_t kMaxZoneFile = size_t{1} << 20;
constexpr std::string_view kWeekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                          "Thursday", "Friday", "Saturday"};

struct Zone {
  std::string name;
  int64_t offset = 0;
};

std::optional<Zone> zone_at(const ClockSource& source, std::string_view name, int64_t now) {
  if (const auto offset = parse_utc_offset(name)) return Zone{utc_offset_name(*offset), *offset};
  const auto found = find_zone(source.database, name);
  if (!found) return std::nullopt;
  const auto file = read_file(source.database / *found, kMaxZoneFile);
  const auto offset = file ? offset_of_tzif(*file, now) : std::nullopt;
  return offset ? std::optional(Zone{*found, *offset}) : std::nullopt;
}

// The part of a path behind "zoneinfo/".
std::string name_of_zone_file(const std::string& path) {
  constexpr std::string_view kFolder = "zoneinfo/";
  const size_t at = path.find(kFolder);
  return at == path.npos ? std::string() : path.substr(at + kFolder.size());
}

std::string system_zone() {
  if (auto tz = env("TZ")) {
    if (tz->starts_with(':')) tz->erase(0, 1);
    if (const std::string name = name_of_zone_file(*tz); !name.empty()) return name;
    return *tz;
  }
  std::error_code error;
  const fs::path link = fs::read_symlink("/etc/localtime", error);
  const std::string name = error ? std::string() : name_of_zone_file(link.string());
  return name.empty() || name == "Etc/UTC" ? "UTC" : name;
}

}  // namespace

ClockSource ClockSource::system() {
  return {.unix_seconds =
              [] {
                return std::chrono::duration_cast<std::chrono::seconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                    .count();
              },
          .zone = system_zone(),
          .database = env("TZDIR").value_or("/usr/share/zoneinfo")};
}

tl::expected<ClockReading, std::string> read_clock(const ClockSource& source, std::string_view zone) {
  const int64_t now = source.unix_seconds();
  std::optional<Zone> found = zone_at(source, zone.empty() ? source.zone : zone, now);
  if (!found && !zone.empty()) return tl::unexpected<std::string>(fmt::format("unknown zone {}", zone));
  if (!found) found = Zone{"UTC", 0};  // a TZ of the system that is no zone's name
  const int64_t local = now + found->offset;
  const int64_t days = local / kDay - (local % kDay < 0 ? 1 : 0), second = local - days * kDay;
  const CivilDate date = civil_date(days);
  return ClockReading{.date = fmt::format("{:04}-{:02}-{:02}", date.year, date.month, date.day),
                      .time = fmt::format("{:02}:{:02}", second / 3600, second / 60 % 60),
                      .weekday = std::string(kWeekdays[date.weekday]),
                      .zone = found->name};
}

}  // namespace qw::tools
