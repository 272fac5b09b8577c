// UTF-8: decoding with the replacement rule of Rust's String::from_utf8_lossy (which is the Unicode
// Standard's "substitution of maximal subparts", section 3.9 table 3-8): every longest prefix of a valid
// sequence, or else one byte, becomes one U+FFFD. Test: tests/text/utf8_test.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qw::text {

inline constexpr char32_t kReplacement = 0xFFFD;

// One step of decoding. `valid`: the first `length` bytes are the code point `cp`. Otherwise they are the
// maximal subpart to replace by one U+FFFD (cp is U+FFFD), and `incomplete` says that the text ended inside a
// sequence that could still become valid if more bytes followed.
struct Utf8Step {
  char32_t cp = kReplacement;
  int length = 0;
  bool valid = false;
  bool incomplete = false;
};

// The step at the start of `bytes`, which is not empty.
Utf8Step utf8_step(std::string_view bytes);

// The code point at `p`, whose text is known to be valid UTF-8; `p` moves behind it.
inline char32_t utf8_next(const char*& p) {
  auto at = [](const char* q) { return static_cast<unsigned char>(*q); };
  const char32_t b = at(p);
  if (b < 0x80) {
    p += 1;
    return b;
  }
  if (b < 0xE0) {
    const char32_t cp = (b & 0x1F) << 6 | (at(p + 1) & 0x3Fu);
    p += 2;
    return cp;
  }
  if (b < 0xF0) {
    const char32_t cp = (b & 0x0F) << 12 | (at(p + 1) & 0x3Fu) << 6 | (at(p + 2) & 0x3Fu);
    p += 3;
    return cp;
  }
  const char32_t cp =
      (b & 0x07) << 18 | (at(p + 1) & 0x3Fu) << 12 | (at(p + 2) & 0x3Fu) << 6 | (at(p + 3) & 0x3Fu);
  p += 4;
  return cp;
}

// Appends the code point, a Unicode scalar value.
void utf8_append(std::string& out, char32_t cp);

bool utf8_valid(std::string_view bytes);

// The text with every ill-formed part replaced by U+FFFD.
std::string utf8_lossy(std::string_view bytes);

}  // namespace qw::text
