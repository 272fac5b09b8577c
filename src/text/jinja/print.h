// Values as text, exactly as Python prints them: str(), repr(), json.dumps(), and the shortest form of
// floats. Test: tests/text/chat_template_test.cc
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/value.h"

namespace qw::text::jinja {

// 1.0, 1e+16, 1e-05, inf, nan: the shortest digits that read back as the same double.
std::string repr_real(double v);
// Digits of an integer; a value error above Python's limit of 4300 digits.
std::string repr_integer(const Value& v);
// 'text' or "it's": Python's choice of quotes and escapes.
void append_repr(std::string& out, std::string_view text);
// ascii(): what is not ASCII in the text of a repr, escaped.
std::string escape_non_ascii(std::string_view text);

// For messages and for values without parts: no budget.
std::string repr(const Value& v);
// repr() and str() of anything. Calls may reach objects that need the interpreter (a loop prints its length).
std::string repr(Interpreter& in, const Value& v);
std::string str(Interpreter& in, const Value& v);
// str() as a value: strings are returned as they are, without markup.
Value to_str(Interpreter& in, const Value& v);
// soft_str(): strings keep their markup.
Value to_soft_str(Interpreter& in, const Value& v);

struct JsonStyle {
  bool ensure_ascii = false;
  bool pretty = false;  // one item a line
  std::string indent;   // of one level
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
std::string dump_json(Interpreter& in, const Value& v, const JsonStyle& style);

// pprint.pformat(): lines of at most 80 columns.
std::string pretty(Interpreter& in, const Value& v);

}  // namespace qw::text::jinja
