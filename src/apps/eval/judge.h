// Whether what a model answered passes. Test: tests/apps/eval_judge_test.cc
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/eval/task.h"
#include "text/tool_calls.h"

namespace qw::eval {

// What the model wrote in answer to an item, without reasoning.
struct Written {
  std::string text = {};  // malformed calls included
  std::vector<ToolCall> calls = {};
  bool malformed = false;  // some call was
};

// In NFC, without white space at the ends, runs of white space as one space; case folded where wanted.
std::string normal_form(std::string_view text, bool ignore_case);

// exact, tool_call and refusal.
bool passes(const Item& item, const Written& written);

}  // namespace qw::eval
