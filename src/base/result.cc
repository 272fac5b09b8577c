#include "base/result.h"

namespace qw {

std::string Error::debug() const {
  std::string out = code_;
  for (const ErrorArg& a : args_) out += fmt::format(" {}={}", a.name, a.value);
  return out;
}

}  // namespace qw
