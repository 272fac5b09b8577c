// Python's three ways to format: "…" % args, "…".format(args), and the mini-language of format
// specifications. Test: tests/text/chat_template_test.cc
#pragma once

#include "text/jinja/interpreter.h"

namespace qw::text::jinja {

// format % arg. Markup escapes what it inserts.
Value percent_format(Interpreter& in, const Value& format, const Value& arg);
// The filter format: positional arguments, or a mapping of keywords.
Value percent_format(Interpreter& in, const Value& format, const Args& args);
// format.format(args)
Value brace_format(Interpreter& in, const Value& format, const Args& args);
// format.format_map(mapping)
Value brace_format_map(Interpreter& in, const Value& format, const Value& mapping);
// format(value, spec)
std::string format_value(Interpreter& in, const Value& v, std::string_view spec);

// A specification: [[fill]align][sign][z][#][0][width][grouping][.precision][type]
struct FormatSpec {
  std::string fill = " ";
  char align = 0;   // < > = ^, 0: not given
  char sign = '-';  // - + or blank
  bool alternate = false;
  bool no_negative_zero = false;
  int64_t width = 0;
  char grouping = 0;  // , or _
  int64_t precision = -1;
  char type = 0;
};
// Sign, prefix and digits brought to the width with the fill.
std::string pad_number(Heap& heap, const FormatSpec& spec, bool negative, std::string_view prefix,
                       std::string digits);
std::string pad_text(Heap& heap, const FormatSpec& spec, std::string_view text, char default_align);
// The digits of |v| without sign in presentation e, f, g, r (repr) and their capitals, %.
std::string real_digits(Heap& heap, double v, char type, int64_t precision, bool alternate, bool add_dot_0);

}  // namespace qw::text::jinja
