// Character references of HTML, as the filter striptags resolves them: numeric ones, and the named ones of
// HTML 2 to 4 that text is likely to hold (the full list of HTML 5 has 2,231 names). Test:
// tests/text/jinja_template_test.cc
#pragma once

#include <string>
#include <string_view>

namespace qw::text::jinja {

std::string html_unescape(std::string_view text);

}  // namespace qw::text::jinja
