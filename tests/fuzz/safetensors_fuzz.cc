// Any bytes as a safetensors file, and as an index.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "io/hf/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  if (const auto content = qw::parse_safetensors(bytes, "f")) {
    unsigned sum = 0;
    for (const auto& [name, t] : content->tensors)
      for (const std::byte b : t.bytes) sum += std::to_integer<unsigned>(b);
    if (sum == 0xffffffff) std::abort();  // the reads must not be optimised away
  }
  static_cast<void>(qw::parse_safetensors_index({reinterpret_cast<const char*>(data), size}, "f"));
  return 0;
}
