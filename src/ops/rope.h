// Rotary position embedding (Su et al. 2021), half-split pairs as in the Hugging Face models. Test:
// tests/ops/ops_test.cc
#pragma once

#include <span>
#include <vector>

#include "core/tape.h"

namespace qw::ops {

// How positions become angles: angle of pair i = position · inv_freq[i]; cos and sin are multiplied by
// `scale` (YaRN's attention factor). The first 2 · inv_freq.size() dimensions of a head rotate, the rest pass
// through.
struct RopeSpec {
  std::vector<float> inv_freq;
  double scale = 1.0;
};

// (cos, sin) of every row, made once a step and used by all layers: [T, rot/2, 2].
Tensor rope_table(Ctx& cx, const Tensor& positions, const RopeSpec& spec);

// Rows begin … end − 1 of a step turn by `spec`; cos and sin are multiplied by `scale` too.
struct RopePart {
  int64_t begin = 0, end = 0;
  const RopeSpec* spec = nullptr;
  double scale = 1.0;
};
// The same where rows differ. The parts lie one behind the other and cover all rows.
Tensor rope_table(Ctx& cx, const Tensor& positions, std::span<const RopePart> parts);
// x [T, H, hd] rotated by the table of its rows.
Tensor rope(Ctx& cx, const Tensor& x, const Tensor& table);
// The same, written over x: as add_over (ops/add.h).
Tensor rope_over(Ctx& cx, const Tensor& x, const Tensor& table);

}  // namespace qw::ops
