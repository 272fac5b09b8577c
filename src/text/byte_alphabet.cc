#include "text/byte_alphabet.h"

#include <array>
#include <cstdint>
#include <utility>

#include "text/utf8.h"

namespace qw::text {
namespace {

// Printable Latin-1 stands for itself, the other 68 bytes for U+0100 and up, in their order.
constexpr bool printable(unsigned b) {
  return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
}

constexpr unsigned kChars = 0x100 + 68;

struct Alphabet {
  std::array<char32_t, 256> char_of{};
  std::array<int16_t, kChars> byte_of{};

  constexpr Alphabet() {
    for (int16_t& b : byte_of) b = -1;
    char32_t next = 0x100;
    for (unsigned b = 0; b < 256; ++b) {
      char_of[b] = printable(b) ? b : next++;
      byte_of[char_of[b]] = static_cast<int16_t>(b);
    }
  }
};
constexpr Alphabet kAlphabet;

}  // namespace

// The alphabet lies below U+0800, so that a character takes one or two bytes; anything else is outside of it.
bool append_bytes_of_spelling(std::string& out, std::string_view spelling) {
  const size_t before = out.size();
  const auto at = [&](size_t i) { return static_cast<unsigned char>(spelling[i]); };
  for (size_t i = 0; i < spelling.size(); ++i) {
    unsigned cp = at(i);
    if (cp >= 0x80) {
      if (cp < 0xC2 || cp > 0xDF || i + 1 == spelling.size() || (at(i + 1) & 0xC0) != 0x80) cp = kChars;
      if (cp != kChars) cp = (cp & 0x1F) << 6 | (at(++i) & 0x3Fu);
    }
    if (cp >= kChars || kAlphabet.byte_of[cp] < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(static_cast<unsigned char>(kAlphabet.byte_of[cp])));
  }
  return true;
}

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string out;
  return append_bytes_of_spelling(out, spelling) ? std::optional(std::move(out)) : std::nullopt;
}

std::string spelling_of_bytes(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char b : bytes) utf8_append(out, kAlphabet.char_of[static_cast<unsigned char>(b)]);
  return out;
}

}  // namespace qw::text
