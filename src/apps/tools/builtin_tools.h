// The tools that qw chat brings: calculator and clock. Test: tests/apps/builtin_tools_test.cc
#pragma once

#include <string>
#include <string_view>

#include "apps/tools/clock.h"
#include "base/json.h"

namespace qw::tools {

// Their definitions, as chat templates take them: a JSON array.
std::string_view builtin_tools();

struct ToolOutcome {
  std::string content;  // of the tool message: a JSON object
  std::string shown;    // "calculator(12*7) → 84", one line
};

// Runs one call. Whatever the model asks for, there is an answer: {"error": phrase} where it cannot be done.
ToolOutcome run_builtin_tool(std::string_view name, std::string_view arguments, const ClockSource& clock);

}  // namespace qw::tools
