// Content hashes. Test: tests/hub/parts_test.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "hub/listing.h"

namespace qw::hub {

// A hash of a content whose size is known before (that of git begins with it). Not for HashKind::none.
class ContentHash {
 public:
  ContentHash(HashKind kind, int64_t size);
  ~ContentHash();
  ContentHash(ContentHash&&) noexcept;
  ContentHash& operator=(ContentHash&&) noexcept;

  void add(std::span<const std::byte> bytes);
  std::string finish();  // lower-case hexadecimal; once

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qw::hub
