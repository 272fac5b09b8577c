// A bounds-checked reader over the bytes of a GGUF file. Test: through tests/io/gguf_test.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "io/gguf/gguf.h"

namespace qw {

// Reads never pass the end: they answer false and leave `need` at the file size that would have been enough
// (saturated).
struct GgufCursor {
  std::span<const std::byte> bytes;
  size_t pos = 0;
  uint64_t need = 0;

  size_t left() const { return bytes.size() - pos; }

  // The next `n` bytes.
  bool take(uint64_t n, std::span<const std::byte>& out) {
    if (n > left()) {
      need = n > UINT64_MAX - pos ? UINT64_MAX : pos + n;
      return false;
    }
    out = bytes.subspan(pos, static_cast<size_t>(n));
    pos += static_cast<size_t>(n);
    return true;
  }
  template <class T>
  requires std::is_trivially_copyable_v<T>
  bool read(T& out) {
    std::span<const std::byte> raw;
    if (!take(sizeof(T), raw)) return false;
    std::memcpy(&out, raw.data(), sizeof(T));
    return true;
  }
  bool read_string(std::string_view& out) {
    uint64_t length = 0;
    std::span<const std::byte> raw;
    if (!read(length) || !take(length, raw)) return false;
    out = {reinterpret_cast<const char*>(raw.data()), raw.size()};
    return true;
  }
};

enum class GgufRead { ok, truncated, bad_type, too_deep };

inline constexpr int kGgufMaxNesting = 8;  // arrays in arrays

// Reads one value of `type`, arrays to any nesting up to the limit. `bad_type` leaves the number found in
// `found_type`.
GgufRead read_gguf_value(GgufCursor& in, uint32_t type, int depth, GgufValue& out, uint32_t& found_type);

}  // namespace qw
