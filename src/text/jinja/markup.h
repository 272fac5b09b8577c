// markupsafe: strings that are already escaped for HTML. Test: tests/text/chat_template_test.cc
#pragma once

#include "text/jinja/interpreter.h"

namespace qw::text::jinja {

std::string escape_text(std::string_view text);
// escape(): markup passes unchanged, everything else is printed and escaped.
Value escape(Interpreter& in, const Value& v);
// Markup(v): printed, not escaped.
Value make_markup(Interpreter& in, const Value& v);

}  // namespace qw::text::jinja
