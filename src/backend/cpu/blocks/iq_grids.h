// The lattice points of the IQ formats of GGUF, 16 bits a point. iq1, iq2: eight values of 2 bits, lowest
// first, that stand for −1, 0, 1 (iq1) or 8, 25, 43 (iq2); iq3: four of 4 bits, for 4, 12, 20, 28, 36, 44,
// 52, 62 (xxs) or 1, 3 … 15 (s).
#pragma once

#include <cstdint>

namespace qw::cpu {

extern const uint16_t kGridIq1[2048];
extern const uint16_t kGridIq2Xxs[256];
extern const uint16_t kGridIq2Xs[512];
extern const uint16_t kGridIq2S[1024];
extern const uint16_t kGridIq3Xxs[256];
extern const uint16_t kGridIq3S[512];

}  // namespace qw::cpu
