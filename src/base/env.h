// Environment variables. Test: through the programs that read them (tests/e2e).
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace qw {

// The value of an environment variable; none where it is unset or empty.
inline std::optional<std::string> env(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

}  // namespace qw
