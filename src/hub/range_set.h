// A set of bytes of a file, as disjoint ranges. Test: tests/hub/parts_test.cc
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "hub/http.h"

namespace qw::hub {

class RangeSet {
 public:
  void add(ByteRange range);
  void remove(ByteRange range);
  void clear() { ranges_.clear(); }

  int64_t size() const;  // bytes
  bool contains(ByteRange range) const;
  // The first hole inside `within`.
  std::optional<ByteRange> first_gap(ByteRange within) const;
  // How far the set goes from 0 without a hole.
  int64_t prefix() const;
  const std::map<int64_t, int64_t>& ranges() const { return ranges_; }  // begin → end

 private:
  std::map<int64_t, int64_t> ranges_;  // disjoint, never touching
};

}  // namespace qw::hub
