// QW_CHECK: a bug of our own ends the program, in every build. Never reachable from a file, a request or the
// environment; those are Result (base/result.h).
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace qw::detail {
// Writes "file:line: check failed: expr: message" through the log sink and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* expr, std::string_view message);
}  // namespace qw::detail

// QW_CHECK(cond) or QW_CHECK(cond, "fmt {}", arg…)
#define QW_CHECK(cond, ...)                                                                 \
  do {                                                                                      \
    if (!(cond)) [[unlikely]]                                                               \
      ::qw::detail::check_failed(__FILE__, __LINE__, #cond, ::fmt::format("" __VA_ARGS__)); \
  } while (false)
