#include "apps/tools/builtin_tools.h"

#include <gtest/gtest.h>

namespace qw::tools {
namespace {

const ClockSource kClock{[] { return int64_t{1795356300}; }, "UTC", "/usr/share/zoneinfo"};

std::string content(std::string_view name, std::string_view arguments) {
  return run_builtin_tool(name, arguments, kClock).content;
}
std::string shown(std::string_view name, std::string_view arguments) {
  return run_builtin_tool(name, arguments, kClock).shown;
}

TEST(BuiltinTools, DefinitionsAreFixed) {
  EXPECT_EQ(
      builtin_tools(),
      R"([{"type":"function","function":{"name":"calculator","description":"Work out an arithmetic expression","parameters":{"type":"object","properties":{"expression":{"type":"string"}},"required":["expression"]}}},)"
      R"({"type":"function","function":{"name":"clock","description":"Current date and time","parameters":{"type":"object","properties":{"zone":{"type":"string"}},"required":[]}}}])");
  EXPECT_EQ(Json::parse(builtin_tools()).size(), 2U);
}

TEST(BuiltinTools, Calculator) {
  EXPECT_EQ(content("calculator", R"({"expression": "12*7"})"), R"({"result": "84"})");
  EXPECT_EQ(shown("calculator", R"({"expression": "12*7"})"), "calculator(12*7) → 84");
  EXPECT_EQ(content("calculator", R"({"expression": 5})"), R"({"result": "5"})");
  EXPECT_EQ(content("calculator", R"({"expression": "1/0"})"), R"({"error": "division by zero"})");
  EXPECT_EQ(content("calculator", "{}"), R"({"error": "expression is missing"})");
  EXPECT_EQ(shown("calculator", "{\"expression\": \"1\\n+1\"}"), "calculator(1 +1) → 2");
  EXPECT_EQ(content("calculator", R"({"expression": "\""})"), R"({"error": "unexpected '\"'"})");
}

TEST(BuiltinTools, Clock) {
  EXPECT_EQ(content("clock", "{}"),
            R"({"date": "2026-11-22", "time": "14:05", "weekday": "Sunday", "zone": "UTC"})");
  EXPECT_EQ(content("clock", R"({"zone": "UTC+8"})"),
            R"({"date": "2026-11-22", "time": "22:05", "weekday": "Sunday", "zone": "UTC+08:00"})");
  EXPECT_EQ(content("clock", R"({"zone": "Atlantis"})"), R"({"error": "unknown zone Atlantis"})");
  EXPECT_EQ(shown("clock", R"({"zone": null})"), "clock() → 2026-11-22 14:05, Sunday, UTC");
}

TEST(BuiltinTools, AnythingElseIsAnError) {
  EXPECT_EQ(content("weather", "{}"), R"({"error": "there is no tool weather"})");
  EXPECT_EQ(content("calculator", "no json"), R"({"error": "expression is missing"})");
}

}  // namespace
}  // namespace qw::tools
