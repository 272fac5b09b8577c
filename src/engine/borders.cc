#include "engine/borders.h"

#include <algorithm>

#include "core/batch.h"

namespace qw {

std::vector<int> state_borders(std::span<const int32_t> prompt, std::span<const int32_t> turn_ends,
                               int most) {
  const int n = static_cast<int>(prompt.size());
  std::vector<int> out;
  if (n < 2) return out;
  out.push_back(n - 1);
  for (int i = n - 1; i >= 1 && static_cast<int>(out.size()) <= most; --i) {
    if (out.back() - i < kPageTokens) continue;  // too near to be worth the memory
    const int32_t id = prompt[static_cast<size_t>(i) - 1];
    if (std::find(turn_ends.begin(), turn_ends.end(), id) != turn_ends.end()) out.push_back(i);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace qw
