// What Python's str methods know about code points (Unicode 16): properties and full case mappings.
// Data: unicode_props.inc, written by tools/make_unicode_props.py. Test: tests/text/chat_template_test.cc
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace qw::text::jinja {

enum Property : uint16_t {
  kAlpha = 1 << 0,
  kDecimal = 1 << 1,
  kDigit = 1 << 2,
  kNumeric = 1 << 3,
  kSpace = 1 << 4,
  kPrintable = 1 << 5,
  kLower = 1 << 6,
  kUpper = 1 << 7,
  kTitle = 1 << 8,  // Lt only
  kCaseIgnorable = 1 << 9,
  kIdStart = 1 << 10,
  kIdContinue = 1 << 11,
  kAlnum = kAlpha | kDecimal | kDigit | kNumeric,
  kCased = kLower | kUpper | kTitle,
};

// All property bits of a code point; 0 for surrogates and values above U+10FFFF.
uint16_t properties(char32_t cp);
inline bool has(char32_t cp, uint16_t mask) {
  return (properties(cp) & mask) != 0;
}

// The value of a decimal digit (U+0665 is 5), -1 for anything else.
int decimal_value(char32_t cp);

enum class CaseForm { lower, upper, title, fold };

// Appends the full mapping of one code point (1 to 3 code points). Lower case of a final sigma is for the
// caller.
void append_case(std::string& out, char32_t cp, CaseForm form);

// str.lower(), upper(), capitalize(), title(), swapcase(), casefold().
std::string to_lower(std::string_view s);
std::string to_upper(std::string_view s);
std::string to_capitalized(std::string_view s);
std::string to_title(std::string_view s);
std::string to_swapped(std::string_view s);
std::string to_folded(std::string_view s);

// The code point at s[i], and i moves behind it. Strings inside the interpreter are UTF-8 in which lone
// surrogates may stand as three bytes (Python's strings can hold them); nothing else ill-formed occurs.
char32_t next_cp(std::string_view s, size_t& i);
// The code point that ends before s[i], and i moves to its start.
char32_t prev_cp(std::string_view s, size_t& i);
void append_cp(std::string& out, char32_t cp);
size_t count_cps(std::string_view s);
// Byte offset of code point `n` (at most the count).
size_t offset_of_cp(std::string_view s, size_t n);

}  // namespace qw::text::jinja
