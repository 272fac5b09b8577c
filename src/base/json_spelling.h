// How the members of a JSON object are spelled: what a parser loses (1.0 and 1, the order of equal keys).
// Test: tests/base/base_test.cc
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qw {

// The members of a valid JSON object in their order, equal keys too: the key, and the value as it is spelled,
// with the white space around it.
std::vector<std::pair<std::string, std::string_view>> spelled_members(std::string_view object);

}  // namespace qw
