#include "text/jinja/strings.h"

#include <algorithm>

#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

template <class Match>
std::string_view strip_matching(std::string_view text, bool left, bool right, Match match) {
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    size_t next = begin;
    if (!match(next_cp(text, next))) break;
    begin = next;
  }
  while (right && end > begin) {
    size_t at = end;
    if (!match(prev_cp(text, at))) break;
    end = at;
  }
  return text.substr(begin, end - begin);
}

bool line_break(char32_t cp) {
  return (cp >= 0x0A && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 || cp == 0x2028 ||
         cp == 0x2029;
}

size_t skip_space(std::string_view text, size_t i) {
  while (i < text.size()) {
    size_t next = i;
    if (!has(next_cp(text, next), kSpace)) break;
    i = next;
  }
  return i;
}

size_t skip_word(std::string_view text, size_t i) {
  while (i < text.size()) {
    size_t next = i;
    if (has(next_cp(text, next), kSpace)) break;
    i = next;
  }
  return i;
}

size_t back_over(std::string_view text, size_t i, bool space) {
  while (i > 0) {
    size_t at = i;
    if (has(prev_cp(text, at), kSpace) != space) break;
    i = at;
  }
  return i;
}

}  // namespace

std::string_view strip_space(std::string_view text, bool left, bool right) {
  return strip_matching(text, left, right, [](char32_t cp) { return has(cp, kSpace); });
}

std::string_view strip_chars(std::string_view text, std::string_view chars, bool left, bool right) {
  return strip_matching(text, left, right, [&](char32_t cp) {
    for (size_t i = 0; i < chars.size();)
      if (next_cp(chars, i) == cp) return true;
    return false;
  });
}

std::vector<std::string_view> split_text(std::string_view text, std::string_view by, int64_t limit) {
  std::vector<std::string_view> out;
  size_t begin = 0;
  for (; limit != 0; --limit) {
    const size_t at = text.find(by, begin);
    if (at == std::string_view::npos) break;
    out.push_back(text.substr(begin, at - begin));
    begin = at + by.size();
  }
  out.push_back(text.substr(begin));
  return out;
}

std::vector<std::string_view> rsplit_text(std::string_view text, std::string_view by, int64_t limit) {
  std::vector<std::string_view> out;
  std::string_view rest = text;
  for (; limit != 0; --limit) {
    const size_t at = rest.rfind(by);
    if (at == std::string_view::npos) break;
    out.push_back(rest.substr(at + by.size()));
    rest = rest.substr(0, at);
  }
  out.push_back(rest);
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string_view> split_space(std::string_view text, int64_t limit) {
  std::vector<std::string_view> out;
  size_t i = skip_space(text, 0);
  for (; i < text.size() && limit != 0; --limit) {
    const size_t end = skip_word(text, i);
    out.push_back(text.substr(i, end - i));
    i = skip_space(text, end);
  }
  if (i < text.size()) out.push_back(text.substr(i));
  return out;
}

std::vector<std::string_view> rsplit_space(std::string_view text, int64_t limit) {
  std::vector<std::string_view> out;
  size_t end = back_over(text, text.size(), true);
  for (; end > 0 && limit != 0; --limit) {
    const size_t begin = back_over(text, end, false);
    out.push_back(text.substr(begin, end - begin));
    end = back_over(text, begin, true);
  }
  if (end > 0) out.push_back(text.substr(0, end));
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> out;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t at = i;
    const char32_t cp = next_cp(text, i);
    if (!line_break(cp)) continue;
    if (cp == '\r' && i < text.size() && text[i] == '\n') ++i;
    out.push_back(text.substr(begin, (keep_ends ? i : at) - begin));
    begin = i;
  }
  if (begin < text.size()) out.push_back(text.substr(begin));
  return out;
}

std::string replace_text(Heap& heap, std::string_view text, std::string_view from, std::string_view to,
                         int64_t limit) {
  heap.touch(text.size());
  std::string out;
  size_t begin = 0;
  const auto put = [&](std::string_view part) {
    out += part;
    heap.reserve(out.size());
  };
  if (from.empty()) {
    // Between all characters, before the first and behind the last.
    for (; limit != 0; --limit) {
      put(to);
      if (begin >= text.size()) return out;
      const size_t at = begin;
      next_cp(text, begin);
      put(text.substr(at, begin - at));
    }
  }
  for (; limit != 0; --limit) {
    const size_t at = text.find(from, begin);
    if (at == std::string_view::npos) break;
    put(text.substr(begin, at - begin));
    put(to);
    begin = at + from.size();
  }
  put(text.substr(begin));
  heap.touch(out.size());
  return out;
}

std::string padded(Heap& heap, std::string_view text, std::string_view fill, int64_t left, int64_t right) {
  const size_t n = static_cast<size_t>(left) + static_cast<size_t>(right);
  heap.reserve(n > (size_t{1} << 40) ? n : text.size() + n * fill.size());
  heap.touch(n * fill.size());
  std::string out;
  out.reserve(text.size() + n * fill.size());
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += text;
  for (int64_t i = 0; i < right; ++i) out += fill;
  return out;
}

bool is_lower(std::string_view text) {
  bool any = false;
  for (size_t i = 0; i < text.size();) {
    const uint16_t p = properties(next_cp(text, i));
    if ((p & (kUpper | kTitle)) != 0) return false;
    any |= (p & kLower) != 0;
  }
  return any;
}

bool is_upper(std::string_view text) {
  bool any = false;
  for (size_t i = 0; i < text.size();) {
    const uint16_t p = properties(next_cp(text, i));
    if ((p & (kLower | kTitle)) != 0) return false;
    any |= (p & kUpper) != 0;
  }
  return any;
}

}  // namespace qw::text::jinja
