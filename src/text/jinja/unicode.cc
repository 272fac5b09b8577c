#include "text/jinja/unicode.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace qw::text::jinja {
namespace {

struct PropertyRun {
  uint32_t first;
  uint16_t flags;
};
struct CaseRow {
  uint32_t cp, lower, upper, title, fold;
};
struct FullMapping {
  uint32_t cps[3];
};

#include "text/jinja/unicode_props.inc"

constexpr uint32_t kFullBase = 0x110000;

uint16_t search_properties(char32_t cp) {
  if (cp > 0x10FFFF) return 0;
  const auto* it = std::upper_bound(std::begin(kPropertyRuns), std::end(kPropertyRuns), cp,
                                    [](char32_t c, const PropertyRun& run) { return c < run.first; });
  return std::prev(it)->flags;
}

// The first 256 code points, filled before main by constant evaluation.
constexpr std::array<uint16_t, 256> make_latin() {
  std::array<uint16_t, 256> table{};
  size_t run = 0;
  for (uint32_t cp = 0; cp < 256; ++cp) {
    while (run + 1 < std::size(kPropertyRuns) && kPropertyRuns[run + 1].first <= cp) ++run;
    table[cp] = kPropertyRuns[run].flags;
  }
  return table;
}
constexpr std::array<uint16_t, 256> kLatin = make_latin();

uint32_t mapping(const CaseRow& row, CaseForm form) {
  switch (form) {
    case CaseForm::lower:
      return row.lower;
    case CaseForm::upper:
      return row.upper;
    case CaseForm::title:
      return row.title;
    case CaseForm::fold:
      return row.fold;
  }
  return 0;
}

// A capital sigma is final after a cased letter and before none, case-ignorable characters not counted.
bool final_sigma(std::string_view s, size_t before, size_t after) {
  while (before > 0) {
    const char32_t cp = prev_cp(s, before);
    if (has(cp, kCaseIgnorable)) continue;
    if (!has(cp, kCased)) return false;
    while (after < s.size()) {
      const char32_t next = next_cp(s, after);
      if (!has(next, kCaseIgnorable)) return !has(next, kCased);
    }
    return true;
  }
  return false;
}

void append_lower(std::string& out, std::string_view s, size_t at, size_t after, char32_t cp) {
  if (cp == 0x3A3) {
    append_cp(out, final_sigma(s, at, after) ? 0x3C2 : 0x3C3);
  } else {
    append_case(out, cp, CaseForm::lower);
  }
}

std::string map_all(std::string_view s, CaseForm form) {
  std::string out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size();) append_case(out, next_cp(s, i), form);
  return out;
}

}  // namespace

uint16_t properties(char32_t cp) {
  return cp < 256 ? kLatin[cp] : search_properties(cp);
}

int decimal_value(char32_t cp) {
  if (cp >= '0' && cp <= '9') return static_cast<int>(cp - '0');
  if (!has(cp, kDecimal)) return -1;
  // Decimal digits come in runs of ten that begin with the zero; runs that touch begin at multiples of ten
  // from the start of the whole stretch.
  char32_t first = cp;
  while (has(first - 1, kDecimal)) --first;
  return static_cast<int>((cp - first) % 10);
}

void append_case(std::string& out, char32_t cp, CaseForm form) {
  if (cp < 0x80) {
    char c = static_cast<char>(cp);
    const bool lower = form == CaseForm::lower || form == CaseForm::fold;
    if (lower && c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    if (!lower && c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    out.push_back(c);
    return;
  }
  const auto* it = std::lower_bound(std::begin(kCaseRows), std::end(kCaseRows), cp,
                                    [](const CaseRow& row, char32_t c) { return row.cp < c; });
  const uint32_t to = it != std::end(kCaseRows) && it->cp == cp ? mapping(*it, form) : 0;
  if (to < kFullBase) {
    append_cp(out, to == 0 ? cp : char32_t{to});
    return;
  }
  for (const uint32_t part : kFullMappings[to - kFullBase].cps)
    if (part != 0) append_cp(out, part);
}

std::string to_lower(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size();) {
    const size_t at = i;
    const char32_t cp = next_cp(s, i);
    append_lower(out, s, at, i, cp);
  }
  return out;
}

std::string to_upper(std::string_view s) {
  return map_all(s, CaseForm::upper);
}
std::string to_folded(std::string_view s) {
  return map_all(s, CaseForm::fold);
}

std::string to_capitalized(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size();) {
    const size_t at = i;
    const char32_t cp = next_cp(s, i);
    if (at == 0) {
      append_case(out, cp, CaseForm::title);
    } else {
      append_lower(out, s, at, i, cp);
    }
  }
  return out;
}

std::string to_title(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  bool inside = false;  // the character before was cased
  for (size_t i = 0; i < s.size();) {
    const size_t at = i;
    const char32_t cp = next_cp(s, i);
    if (inside) {
      append_lower(out, s, at, i, cp);
    } else {
      append_case(out, cp, CaseForm::title);
    }
    inside = has(cp, kCased);
  }
  return out;
}

std::string to_swapped(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size();) {
    const size_t at = i;
    const char32_t cp = next_cp(s, i);
    if (has(cp, kUpper)) {
      append_lower(out, s, at, i, cp);
    } else if (has(cp, kLower)) {
      append_case(out, cp, CaseForm::upper);
    } else {
      append_cp(out, cp);
    }
  }
  return out;
}

char32_t next_cp(std::string_view s, size_t& i) {
  const auto at = [&](size_t k) { return k < s.size() ? static_cast<unsigned char>(s[k]) : 0u; };
  const char32_t b = at(i);
  size_t length = b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
  char32_t cp = length == 1 ? b : b & (0xFFu >> (length + 1));
  for (size_t k = 1; k < length; ++k) cp = cp << 6 | (at(i + k) & 0x3Fu);
  i = std::min(i + length, s.size());
  return cp;
}

char32_t prev_cp(std::string_view s, size_t& i) {
  do {
    --i;
  } while (i > 0 && (static_cast<unsigned char>(s[i]) & 0xC0) == 0x80);
  size_t at = i;
  return next_cp(s, at);
}

void append_cp(std::string& out, char32_t cp) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (cp < 0x80) {
    put(cp);
  } else if (cp < 0x800) {
    put(0xC0 | cp >> 6), put(0x80 | (cp & 0x3F));
  } else if (cp < 0x10000) {
    put(0xE0 | cp >> 12), put(0x80 | (cp >> 6 & 0x3F)), put(0x80 | (cp & 0x3F));
  } else {
    put(0xF0 | cp >> 18), put(0x80 | (cp >> 12 & 0x3F)), put(0x80 | (cp >> 6 & 0x3F)),
        put(0x80 | (cp & 0x3F));
  }
}

size_t count_cps(std::string_view s) {
  size_t n = 0;
  for (const char c : s) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

size_t offset_of_cp(std::string_view s, size_t n) {
  size_t i = 0;
  for (; n > 0 && i < s.size(); --n) {
    ++i;
    while (i < s.size() && (static_cast<unsigned char>(s[i]) & 0xC0) == 0x80) ++i;
  }
  return i;
}

}  // namespace qw::text::jinja
