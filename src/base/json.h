// JSON helpers around nlohmann-json: parsing that answers with a Result, and typed look-ups with errors that
// name the key. Test: tests/base/base_test.cc
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace qw {

using Json = nlohmann::ordered_json;  // keeps the order of keys

// Errors: json.parse (args file, offset), json.too_deep (nesting above 200: the recursive destructor must not
// be a hazard). `file` only names the source in the error.
Result<Json> parse_json(std::string_view text, std::string_view file);
Result<Json> parse_json_file(const std::filesystem::path& path);

// One line, non-ASCII escaped (the form of every JSON line that qw prints). Bytes that are no UTF-8 become
// U+FFFD.
std::string to_json_line(const Json& value);

}  // namespace qw
