#include "text/byte_alphabet.h"

#include <array>
#include <cstdint>

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

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string out;
  out.reserve(spelling.size());
  while (!spelling.empty()) {
    const Utf8Step step = utf8_step(spelling);
    if (!step.valid || step.cp >= kChars || kAlphabet.byte_of[step.cp] < 0) return std::nullopt;
    out.push_back(static_cast<char>(static_cast<unsigned char>(kAlphabet.byte_of[step.cp])));
    spelling.remove_prefix(static_cast<size_t>(step.length));
  }
  return out;
}

std::string spelling_of_bytes(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char b : bytes) utf8_append(out, kAlphabet.char_of[static_cast<unsigned char>(b)]);
  return out;
}

}  // namespace qw::text
