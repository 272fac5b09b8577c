// The calculator of qw chat. Exact arithmetic: + - * / ^ %, parentheses, decimals, and sqrt, abs, round, min,
// max; also the signs × ÷ · − ** and the full-width forms. "a % b" is the remainder with the sign of b, "15%"
// the hundredth part; ^ binds to the right and before the minus sign. Bounded in text, depth and size of
// numbers, so it always ends at once. Test: tests/apps/calculator_test.cc
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace qw::tools {

// The value as text (Rational::text), or what is wrong, as a phrase for the model.
tl::expected<std::string, std::string> calculate(std::string_view expression);

}  // namespace qw::tools
