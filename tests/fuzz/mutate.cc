#include "fuzz/mutate.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "base/rng.h"

namespace qw::fuzz {
namespace {

constexpr size_t kMaxBytes = size_t{256} << 10;

constexpr std::array<uint64_t, 24> kBoundary{
    0,          1,          2,          3,           7,          8,          16,         31,
    32,         33,         127,        128,         255,        256,        0x7fff,     0xffff,
    0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 1ULL << 62, ~0ULL >> 1, 1ULL << 63, ~0ULL};
constexpr std::array<std::string_view, 24> kNumbers{"0",
                                                    "1",
                                                    "-1",
                                                    "2",
                                                    "127",
                                                    "255",
                                                    "65536",
                                                    "2147483647",
                                                    "2147483648",
                                                    "4294967295",
                                                    "9223372036854775807",
                                                    "18446744073709551615",
                                                    "18446744073709551616",
                                                    "-9223372036854775808",
                                                    "1e9",
                                                    "1e308",
                                                    "1e999",
                                                    "-1e-999",
                                                    "0.5",
                                                    "1.5e-7",
                                                    "null",
                                                    "true",
                                                    "\"x\"",
                                                    "[]"};
constexpr std::array<std::string_view, 32> kTokens{"{",
                                                   "}",
                                                   "[",
                                                   "]",
                                                   ":",
                                                   ",",
                                                   "\"",
                                                   "\\",
                                                   "\\u0000",
                                                   "\\ud800",
                                                   "\xff",
                                                   "\xed\xa0\x80",
                                                   "\xf4\x90\x80\x80",
                                                   "\n",
                                                   "{}",
                                                   "[[[[",
                                                   "null",
                                                   "true",
                                                   "-",
                                                   "{{",
                                                   "}}",
                                                   "{%",
                                                   "%}",
                                                   "{%-",
                                                   "-%}",
                                                   "{#",
                                                   "#}",
                                                   "|",
                                                   "(",
                                                   ")",
                                                   "for",
                                                   "end"};

// Draws of one iteration.
class Dice {
 public:
  Dice(uint64_t seed, uint64_t iteration) : rng_(seed * 0x9E3779B97F4A7C15ULL + iteration) {}
  uint64_t bits() { return rng_.bits(n_++); }
  // 0 … n − 1; n > 0.
  size_t below(size_t n) { return static_cast<size_t>(bits() % n); }
  template <class T, size_t N>
  const T& of(const std::array<T, N>& a) {
    return a[below(N)];
  }

 private:
  Rng rng_;
  uint64_t n_ = 0;
};

size_t place(const std::string& s, Dice& d) {
  return d.below(s.size() + 1);
}

void flip(std::string& s, Dice& d) {
  if (!s.empty()) s[d.below(s.size())] ^= static_cast<char>(1 << d.below(8));
}

void set_byte(std::string& s, Dice& d) {
  if (!s.empty()) s[d.below(s.size())] = static_cast<char>(d.bits());
}

// A little-endian integer of 1, 2, 4 or 8 bytes becomes a boundary value, or moves by a little.
void set_integer(std::string& s, Dice& d) {
  const size_t width = size_t{1} << d.below(4);
  if (s.size() < width) return;
  // Formats align their fields: mostly at a multiple of four, but names shift what follows.
  size_t at = d.below(s.size() - width + 1);
  if (d.below(3) == 0) at = at / 4 * 4;
  uint64_t v = 0;
  std::memcpy(&v, s.data() + at, width);
  switch (d.below(3)) {
    case 0:
      v = d.of(kBoundary);
      break;
    case 1:
      v += d.below(17) - 8;
      break;
    default:
      v = s.size() + d.below(17) - 8;
  }
  std::memcpy(s.data() + at, &v, width);
}

void cut(std::string& s, Dice& d) {
  s.resize(place(s, d));
}

void erase(std::string& s, Dice& d) {
  const size_t at = place(s, d);
  s.erase(at, d.below(std::min<size_t>(s.size() - at, 64) + 1));
}

void repeat(std::string& s, Dice& d) {
  const size_t at = place(s, d);
  const std::string part = s.substr(at, d.below(64));
  const size_t times = d.below(8) == 0 ? 200 : 1 + d.below(4);
  std::string all;
  for (size_t i = 0; i < times; ++i) all += part;
  s.insert(place(s, d), all);
}

void splice(std::string& s, const std::string& other, Dice& d) {
  const size_t from = place(other, d);
  const std::string part = other.substr(from, d.below(other.size() - from + 1));
  const size_t at = place(s, d);
  if (d.below(2) == 0) s.resize(at);
  s.insert(std::min(at, s.size()), part);
}

// A run of digits becomes another number.
void set_number(std::string& s, Dice& d) {
  const size_t start = s.find_first_of("0123456789", place(s, d));
  if (start == std::string::npos) return;
  const size_t end = std::min(s.find_first_not_of("0123456789.eE+-", start), s.size());
  s.replace(start, end - start, d.of(kNumbers));
}

void insert_token(std::string& s, Dice& d) {
  s.insert(place(s, d), d.of(kTokens));
}

}  // namespace

std::string mutant(const std::vector<std::string>& corpus, uint64_t seed, uint64_t iteration) {
  Dice d(seed, iteration);
  std::string s = corpus[d.below(corpus.size())];
  for (size_t left = 1 + d.below(8); left > 0; --left) {
    switch (d.below(10)) {
      case 0:
        flip(s, d);
        break;
      case 1:
        set_byte(s, d);
        break;
      case 2:
      case 3:
        set_integer(s, d);
        break;
      case 4:
        if (d.below(3) == 0) cut(s, d);
        break;
      case 5:
        erase(s, d);
        break;
      case 6:
        repeat(s, d);
        break;
      case 7:
        splice(s, corpus[d.below(corpus.size())], d);
        break;
      case 8:
        set_number(s, d);
        break;
      default:
        insert_token(s, d);
    }
    if (s.size() > kMaxBytes) s.resize(kMaxBytes);
  }
  return s;
}

}  // namespace qw::fuzz
