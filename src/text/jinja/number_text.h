// int("…") and float("…") of Python: signs, underscores, blanks around, digits of any script.
// Test: tests/text/chat_template_test.cc
#pragma once

#include <optional>
#include <string_view>

#include "text/jinja/bigint.h"

namespace qw::text::jinja {

// `base` 2 to 36, or 0 to go by the prefix. None: not a number, or beyond 4300 digits.
std::optional<BigInt> parse_integer(std::string_view text, int64_t base);
std::optional<double> parse_real(std::string_view text);

}  // namespace qw::text::jinja
