// Token ids as every command takes them with --ids: a value that begins with "[" is JSON, "-" is stdin, else
// a file. Test: tests/apps/ids_input_test.cc
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace qw::apps {

// Errors: ids.not_ids (args source, found: what is no id), json.parse, file.open, input.read; for a literal
// value cli.bad_ids (args found).
Result<std::vector<int32_t>> read_ids(std::string_view value);

// A JSON array of integers >= 0. Errors: ids.not_ids.
Result<std::vector<int32_t>> ids_from_json(const Json& json, std::string_view source);

// Every id is a row of the model's embedding. Errors: ids.too_large (args id, vocab), ids.none.
Status check_ids(const std::vector<int32_t>& ids, int vocab);

}  // namespace qw::apps
