#include <algorithm>

#include "engine/drafter.h"

namespace qw {
namespace {

constexpr int kLeastMatch = 2, kMostMatch = 8;  // tokens
constexpr ptrdiff_t kWindow = 1 << 15;          // tokens looked at

}  // namespace

std::vector<int32_t> look_up(std::span<const int32_t> tokens, int depth) {
  std::vector<int32_t> out;
  const auto n = static_cast<ptrdiff_t>(tokens.size());
  const auto at = [&](ptrdiff_t i) { return tokens[static_cast<size_t>(i)]; };
  ptrdiff_t best = -1;
  int longest = kLeastMatch - 1;
  for (ptrdiff_t end = n - 2; end >= std::max<ptrdiff_t>(0, n - kWindow) && longest < kMostMatch; --end) {
    int same = 0;
    while (same < kMostMatch && same <= end && at(end - same) == at(n - 1 - same)) ++same;
    if (same <= longest) continue;
    longest = same;
    best = end;
  }
  if (best < 0) return out;
  for (ptrdiff_t i = best + 1; i < best + 1 + depth; ++i)
    out.push_back(i < n ? at(i) : out[static_cast<size_t>(i - n)]);
  return out;
}

void NgramDrafter::propose(std::span<DraftTask> tasks) {
  for (DraftTask& t : tasks) t.out = look_up(t.seq->tokens, t.depth);
}

}  // namespace qw
