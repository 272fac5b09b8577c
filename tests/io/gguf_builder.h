// Makes small GGUF files byte by byte, valid or broken on purpose.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "io/gguf/gguf.h"

namespace qw {

class GgufBuilder {
 public:
  template <class T>
  static std::string raw(T v) {
    return std::string(reinterpret_cast<const char*>(&v), sizeof(T));
  }
  static std::string str(std::string_view s) { return raw<uint64_t>(s.size()) + std::string(s); }

  // Metadata of any type, its encoding given.
  GgufBuilder& kv(std::string_view key, uint32_t type, std::string_view encoded) {
    metadata_ += str(key) + raw(type) + std::string(encoded);
    ++n_kv;
    return *this;
  }
  GgufBuilder& u32(std::string_view key, uint32_t v) { return kv(key, 4, raw(v)); }
  GgufBuilder& u16(std::string_view key, uint16_t v) { return kv(key, 2, raw(v)); }
  GgufBuilder& i32(std::string_view key, int32_t v) { return kv(key, 5, raw(v)); }
  GgufBuilder& f32(std::string_view key, float v) { return kv(key, 6, raw(v)); }
  GgufBuilder& flag(std::string_view key, bool v) { return kv(key, 7, raw<uint8_t>(v ? 1 : 0)); }
  GgufBuilder& text(std::string_view key, std::string_view v) { return kv(key, 8, str(v)); }
  GgufBuilder& texts(std::string_view key, const std::vector<std::string>& v) {
    std::string e = raw<uint32_t>(8) + raw<uint64_t>(v.size());
    for (const std::string& s : v) e += str(s);
    return kv(key, 9, e);
  }
  GgufBuilder& ints(std::string_view key, const std::vector<int32_t>& v) {
    std::string e = raw<uint32_t>(5) + raw<uint64_t>(v.size());
    for (const int32_t i : v) e += raw(i);
    return kv(key, 9, e);
  }
  // `dims` in the file's order, fastest first; the offset follows from what came before unless given.
  GgufBuilder& tensor(std::string_view name, std::vector<uint64_t> dims, uint32_t type,
                      std::string_view bytes, int64_t offset = -1) {
    infos_ += str(name) + raw(static_cast<uint32_t>(dims.size()));
    for (const uint64_t d : dims) infos_ += raw(d);
    infos_ += raw(type) + raw(offset < 0 ? uint64_t{data_.size()} : static_cast<uint64_t>(offset));
    data_ += bytes;
    data_.append((alignment - data_.size() % alignment) % alignment, '\0');
    ++n_tensors;
    return *this;
  }
  GgufBuilder& f32s(std::string_view name, std::vector<uint64_t> dims, const std::vector<float>& v) {
    return tensor(name, std::move(dims), 0, {reinterpret_cast<const char*>(v.data()), v.size() * 4});
  }

  std::string build() const {
    std::string out = "GGUF" + raw(version) + raw(n_tensors) + raw(n_kv) + metadata_ + infos_;
    if (!data_.empty()) out.append((alignment - out.size() % alignment) % alignment, '\0');
    return out + data_;
  }

  uint32_t version = 3;
  uint64_t n_tensors = 0;
  uint64_t n_kv = 0;
  size_t alignment = 32;

 private:
  std::string metadata_;
  std::string infos_;
  std::string data_;
};

inline Result<GgufContent> parse_gguf_text(std::string_view bytes) {
  return parse_gguf(std::as_bytes(std::span(bytes)), "m.gguf");
}

}  // namespace qw
