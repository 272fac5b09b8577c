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
  int last = n - 1;  // the turn end before, once there is one
  for (int i = n - 1; i >= 1 && static_cast<int>(out.size()) <= most; --i) {
    const int32_t id = prompt[static_cast<size_t>(i) - 1];
    if (std::find(turn_ends.begin(), turn_ends.end(), id) == turn_ends.end()) continue;
    const bool newest = last == n - 1;
    if (newest ? i == last : last - i < kPageTokens) continue;
    out.push_back(i);
    last = i;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace qw
