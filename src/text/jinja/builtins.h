// The tables of filters, tests, methods and globals. Each table is constant and sorted out at compile time;
// there is no registration. Implementations: filters_*.cc, tests.cc, methods_*.cc, globals.cc.
#pragma once

#include <optional>
#include <string_view>

#include "text/jinja/ast.h"
#include "text/jinja/value.h"

namespace qw::text::jinja {

struct FilterRow {
  std::string_view name;
  FilterFunction function;
};
struct TestRow {
  std::string_view name;
  TestFunction function;
};

// nullptr where the name is unknown.
FilterFunction find_filter(std::string_view name);
TestFunction find_test(std::string_view name);
// Parts of the filter table, by what they work on.
FilterFunction find_text_filter(std::string_view name);
FilterFunction find_sequence_filter(std::string_view name);
FilterFunction find_selection_filter(std::string_view name);
FilterFunction find_number_filter(std::string_view name);
FilterFunction find_markup_filter(std::string_view name);

using MethodFunction = Value (*)(Interpreter& in, const Value& self, const Args& args);
struct MethodRow {
  std::string_view name;
  MethodFunction function;
};
MethodFunction find_string_method(std::string_view name);
MethodFunction find_container_method(Kind kind, std::string_view name);
MethodFunction find_number_method(Kind kind, std::string_view name);

// range, dict, namespace, cycler, joiner, lipsum, raise_exception, strftime_now.
std::optional<Value> find_global(Interpreter& in, std::string_view name);

}  // namespace qw::text::jinja
