#include "apps/tools/builtin_tools.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/tools/calculator.h"

namespace qw::tools {
namespace {

// Models are trained on exactly these words (recipes/nano): changing one means training them anew.
constexpr std::string_view kTools =
    R"([{"type":"function","function":{"name":"calculator","description":"Work out an arithmetic expression",)"
    R"("parameters":{"type":"object","properties":{"expression":{"type":"string"}},"required":["expression"]}}},)"
    R"({"type":"function","function":{"name":"clock","description":"Current date and time",)"
    R"("parameters":{"type":"object","properties":{"zone":{"type":"string"}},"required":[]}}}])";

// As Python's json.dumps writes it, which the models saw in training: {"result": "84"}.
std::string object_text(std::initializer_list<std::pair<std::string_view, std::string_view>> members) {
  std::string out;
  for (const auto& [key, value] : members)
    out += fmt::format("{}\"{}\": {}", out.empty() ? "" : ", ", key,
                       Json(value).dump(-1, ' ', false, Json::error_handler_t::replace));
  return fmt::format("{{{}}}", out);
}

ToolOutcome outcome(std::string_view name, std::string_view argument, std::string content,
                    std::string_view result) {
  std::string line = fmt::format("{}({}) → {}", name, argument, result);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  return {std::move(content), std::move(line)};
}

ToolOutcome failure(std::string_view name, std::string_view argument, std::string_view error) {
  return outcome(name, argument, object_text({{"error", error}}), error);
}

// The text of a member; a number counts as its digits. None where it is absent or something else.
std::optional<std::string> text_of(const Json& arguments, const char* key) {
  if (!arguments.is_object() || !arguments.contains(key)) return std::nullopt;
  const Json& value = arguments.at(key);
  if (value.is_string()) return value.get<std::string>();
  return value.is_number() ? std::optional(value.dump()) : std::nullopt;
}

}  // namespace

std::string_view builtin_tools() {
  return kTools;
}

ToolOutcome run_builtin_tool(std::string_view name, std::string_view arguments, const ClockSource& clock) {
  const Json given = parse_json(arguments, "").value_or(Json());
  if (name == "calculator") {
    const std::optional<std::string> expression = text_of(given, "expression");
    if (!expression) return failure(name, arguments, "expression is missing");
    const auto value = calculate(*expression);
    if (!value) return failure(name, *expression, value.error());
    return outcome(name, *expression, object_text({{"result", *value}}), *value);
  }
  if (name == "clock") {
    const std::string zone = text_of(given, "zone").value_or("");
    const auto reading = read_clock(clock, zone);
    if (!reading) return failure(name, zone, reading.error());
    return outcome(
        name, zone,
        object_text({{"date", reading->date},
                     {"time", reading->time},
                     {"weekday", reading->weekday},
                     {"zone", reading->zone}}),
        fmt::format("{} {}, {}, {}", reading->date, reading->time, reading->weekday, reading->zone));
  }
  return failure(name, arguments, fmt::format("there is no tool {}", name));
}

}  // namespace qw::tools
