#include "base/check.h"

#include <cstdlib>
#include <string>

#include "base/log.h"

namespace qw::detail {

void check_failed(const char* file, int line, const char* expr, std::string_view message) {
  log(LogLevel::fatal,
      fmt::format("{}:{}: check failed: {}{}{}", file, line, expr, message.empty() ? "" : ": ", message));
  std::abort();
}

}  // namespace qw::detail
