// Mutations for the plain fuzz driver: flips, boundary integers, splices, truncations, repeats, numbers and
// tokens of text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace qw::fuzz {

// The input of iteration `iteration`: a file of the corpus after one to eight mutations. At most 256 kB.
std::string mutant(const std::vector<std::string>& corpus, uint64_t seed, uint64_t iteration);

}  // namespace qw::fuzz
