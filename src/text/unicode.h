// Classes of code points and the normal form NFC, exactly as HF `tokenizers` 0.23 has them (categories of
// Unicode 16, NFC of Unicode 8). The tables are made by tools/unicode_tables.py from the reference. Test:
// tests/text/unicode_test.cc
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace qw::text {

// Bits of char_class().
inline constexpr uint8_t kLetter = 1;     // \p{L}
inline constexpr uint8_t kNumber = 2;     // \p{N}
inline constexpr uint8_t kMark = 4;       // \p{M}
inline constexpr uint8_t kSpace = 8;      // \s
inline constexpr uint8_t kPunct = 16;     // \p{P}
inline constexpr uint8_t kWord = 32;      // \w of Rust's regex crate
inline constexpr uint8_t kNumeric = 64;   // char::is_numeric of Rust (a newer Unicode than kNumber)
inline constexpr uint8_t kNfcCare = 128;  // may change, or be changed by, its neighbours in NFC

uint8_t char_class(char32_t cp);

// Canonical combining class.
uint8_t combining_class(char32_t cp);

// True where the text certainly is in NFC already (quick check: no character that could be touched).
bool is_nfc_quick(std::string_view valid_utf8);

// The text, which is valid UTF-8, in normal form C.
std::string nfc(std::string_view valid_utf8);

}  // namespace qw::text
