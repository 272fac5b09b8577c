// Python's textwrap.wrap for one paragraph, as the filter wordwrap uses it (tabs and newlines are left
// alone). Test: tests/text/chat_template_test.cc
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qw::text::jinja {

struct WrapOptions {
  int64_t width = 79;  // code points; a value error below 1
  bool break_long_words = true;
  bool break_on_hyphens = true;
};
std::vector<std::string> wrap_text(std::string_view text, const WrapOptions& options);

}  // namespace qw::text::jinja
