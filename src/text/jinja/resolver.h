// Gives every name of a tree its slot, with the scoping of jinja2 (idtracking.py and compiler.py): what a
// name means is decided before the template runs, from where it is read and stored, not from what was
// assigned at the time. Also binds the names of filters and tests. Test: tests/text/chat_template_test.cc
#pragma once

#include "text/jinja/ast.h"

namespace qw::text::jinja {

// Throws Failure (syntax): unknown filter or test outside a condition, a name that jinja2 could not compile.
void resolve(Tree& tree);

}  // namespace qw::text::jinja
