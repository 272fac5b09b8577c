#include "base/rng.h"

#include <cmath>
#include <numbers>

namespace qw {

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
    k[0] += 0x9E3779B9;
    k[1] += 0xBB67AE85;
  }
  return c;
}

uint64_t name_key(std::string_view name, uint64_t salt) {
  uint64_t h = 0xcbf29ce484222325u ^ salt;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

uint64_t Rng::bits(uint64_t position, uint64_t draw) const {
  const auto r = philox4x32({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32),
                             static_cast<uint32_t>(draw), static_cast<uint32_t>(draw >> 32)},
                            {static_cast<uint32_t>(key_), static_cast<uint32_t>(key_ >> 32)});
  return (uint64_t{r[1]} << 32) | r[0];
}

double Rng::uniform(uint64_t position, uint64_t draw) const {
  return static_cast<double>(bits(position, draw) >> 11) * 0x1p-53;
}

uint64_t Rng::below(uint64_t n, uint64_t position) const {
  const uint64_t limit = (UINT64_MAX / n) * n;  // draws at or above it would favour small values
  uint64_t draw = 0;
  uint64_t b = bits(position, draw);
  while (b >= limit) b = bits(position, ++draw);
  return b % n;
}

double Rng::normal(uint64_t position, uint64_t draw) const {
  const double u = 1.0 - uniform(position, 2 * draw);  // (0, 1]: log stays finite
  const double v = uniform(position, 2 * draw + 1);
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace qw
