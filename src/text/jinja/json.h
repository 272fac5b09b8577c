// JSON text → Value, keeping the order of keys and the spelling of numbers (1.0 stays a float, big integers
// stay exact). Test: tests/text/chat_template_test.cc
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/jinja/heap.h"

namespace qw::text::jinja {

inline constexpr int kMaxJsonDepth = 200;

// As Python's json.loads: the last of equal keys wins; NaN and Infinity are refused (they are no JSON).
// Errors: json.parse, json.too_deep (args file "render", offset / limit), template.limit.
Result<Value> value_from_json(Heap& heap, std::string_view text);

}  // namespace qw::text::jinja
