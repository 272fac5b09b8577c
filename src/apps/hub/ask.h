// A question to a person at a terminal. Test: tests/e2e/models_test.cc
#pragma once

#include <string>

#include "apps/console.h"

namespace qw::apps {

// Whether stdin and stderr are terminals, so that there is a person to ask.
bool can_ask(const Console& console);
// Shows the question and reads one line, not a byte more. True for "y", "yes", "是" and the like; false for
// anything else and at the end of the input.
bool ask(Console& console, const std::string& question);

}  // namespace qw::apps
