// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy
// as 1, 2, 3", SC 2011). A draw is a pure function of (key, counter), so no thread, batch slot or order of
// calls can change it. Test: tests/base/base_test.cc (known answers of the paper's Random123 kit)
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace qw {

// The ten-round Philox block: 128 bits from a 128-bit counter and a 64-bit key.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// A key made of a name (FNV-1a, 64 bits), the same on every machine; `salt` gives another for the same name.
uint64_t name_key(std::string_view name, uint64_t salt = 0);

// A stream named by `key`; draw `n` of position `position` never depends on other draws.
class Rng {
 public:
  explicit Rng(uint64_t key) : key_(key) {}

  // 64 random bits at (position, draw).
  uint64_t bits(uint64_t position, uint64_t draw = 0) const;
  // Uniform in [0, 1) with 53 bits.
  double uniform(uint64_t position, uint64_t draw = 0) const;
  // Uniform integer in [0, n), n > 0, without bias.
  uint64_t below(uint64_t n, uint64_t position) const;
  // Standard normal (Box-Muller on two draws of the position).
  double normal(uint64_t position, uint64_t draw = 0) const;

 private:
  uint64_t key_;
};

}  // namespace qw
