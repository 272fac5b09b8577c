#include "hub/range_set.h"

#include <algorithm>

namespace qw::hub {

void RangeSet::add(ByteRange range) {
  if (range.size() <= 0) return;
  auto it = ranges_.upper_bound(range.begin);
  if (it != ranges_.begin() && std::prev(it)->second >= range.begin) --it;
  while (it != ranges_.end() && it->first <= range.end) {
    range.begin = std::min(range.begin, it->first);
    range.end = std::max(range.end, it->second);
    it = ranges_.erase(it);
  }
  ranges_.emplace(range.begin, range.end);
}

void RangeSet::remove(ByteRange range) {
  if (range.size() <= 0) return;
  auto it = ranges_.upper_bound(range.begin);
  if (it != ranges_.begin() && std::prev(it)->second > range.begin) --it;
  while (it != ranges_.end() && it->first < range.end) {
    const auto [begin, end] = *it;
    it = ranges_.erase(it);
    if (begin < range.begin) ranges_.emplace(begin, range.begin);
    if (end > range.end) ranges_.emplace(range.end, end);
  }
}

int64_t RangeSet::size() const {
  int64_t n = 0;
  for (const auto& [begin, end] : ranges_) n += end - begin;
  return n;
}

bool RangeSet::contains(ByteRange range) const {
  return !first_gap(range);
}

std::optional<ByteRange> RangeSet::first_gap(ByteRange within) const {
  int64_t at = within.begin;
  auto it = ranges_.upper_bound(at);
  if (it != ranges_.begin()) at = std::max(at, std::prev(it)->second);
  if (at >= within.end) return std::nullopt;
  const int64_t end = it == ranges_.end() ? within.end : std::min(within.end, it->first);
  return ByteRange{at, end};
}

int64_t RangeSet::prefix() const {
  const auto it = ranges_.begin();
  return it != ranges_.end() && it->first == 0 ? it->second : 0;
}

}  // namespace qw::hub
