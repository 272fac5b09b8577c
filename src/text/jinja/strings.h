// Python's string algorithms on UTF-8 text. Test: tests/text/chat_template_test.cc
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/heap.h"

namespace qw::text::jinja {

std::string_view strip_space(std::string_view text, bool left, bool right);
// Strips any of the code points of `chars`.
std::string_view strip_chars(std::string_view text, std::string_view chars, bool left, bool right);

// str.split and rsplit; `limit` < 0: no limit. `by` is not empty.
std::vector<std::string_view> split_text(std::string_view text, std::string_view by, int64_t limit);
std::vector<std::string_view> rsplit_text(std::string_view text, std::string_view by, int64_t limit);
std::vector<std::string_view> split_space(std::string_view text, int64_t limit);
std::vector<std::string_view> rsplit_space(std::string_view text, int64_t limit);
// str.splitlines: \n \r \r\n \v \f \x1c-\x1e \x85 U+2028 U+2029
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

// str.replace; `limit` < 0: all. The budget refuses what would not fit.
std::string replace_text(Heap& heap, std::string_view text, std::string_view from, std::string_view to,
                         int64_t limit);
// `fill` repeated on both sides.
std::string padded(Heap& heap, std::string_view text, std::string_view fill, int64_t left, int64_t right);
// str.center puts the odd one of `pad` to the left where the width is odd.
inline int64_t center_left(int64_t pad, int64_t width) {
  return pad / 2 + (pad & width & 1);
}

bool is_lower(std::string_view text);
bool is_upper(std::string_view text);

}  // namespace qw::text::jinja
