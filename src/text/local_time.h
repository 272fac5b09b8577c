// The local time that a template sees through strftime_now. Test: tests/text/chat_renderer_test.cc
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace qw {

struct LocalTime {
  int year = 1970, month = 1, day = 1;
  int hour = 0, minute = 0, second = 0, microsecond = 0;

  // "2026-01-02T03:04:05", also with a space, without seconds or time, and with up to six decimals.
  // Errors: template.time (args value).
  static Result<LocalTime> parse(std::string_view text);
  // The wall clock in the local zone, now.
  static LocalTime now();

  // datetime.strftime in the C locale, of a time without zone (%z and %Z are empty).
  std::string format(std::string_view pattern) const;
};

}  // namespace qw
