#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>

#include "io/gguf/cursor.h"

namespace qw {
namespace {

struct TypeTraits {
  std::string_view name;
  uint64_t bytes;  // 0: variable
};
constexpr std::array<TypeTraits, 13> kTypes{{{"u8", 1},
                                             {"i8", 1},
                                             {"u16", 2},
                                             {"i16", 2},
                                             {"u32", 4},
                                             {"i32", 4},
                                             {"f32", 4},
                                             {"bool", 1},
                                             {"string", 0},
                                             {"array", 0},
                                             {"u64", 8},
                                             {"i64", 8},
                                             {"f64", 8}}};

const TypeTraits& traits_of(GgufType t) {
  return kTypes[static_cast<size_t>(t)];
}

template <class T>
T load(std::span<const std::byte> data) {
  T v;
  std::memcpy(&v, data.data(), sizeof(T));
  return v;
}

// The double that the shortest decimal spelling of `f` names; NaN and infinities stay.
double shortest_double(float f) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), f).ptr;
  double d = 0;
  if (std::from_chars(text.data(), end, d).ec != std::errc()) return static_cast<double>(f);
  return d;
}

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  return traits_of(type).name;
}

GgufRead read_gguf_value(GgufCursor& in, uint32_t type, int depth, GgufValue& out, uint32_t& found_type) {
  if (type >= kTypes.size()) {
    found_type = type;
    return GgufRead::bad_type;
  }
  const auto t = static_cast<GgufType>(type);
  std::span<const std::byte> data;
  if (t == GgufType::string) {
    std::string_view text;
    if (!in.read_string(text)) return GgufRead::truncated;
    out = GgufValue(t, t, 0, std::as_bytes(std::span(text)));
    return GgufRead::ok;
  }
  if (t != GgufType::array) {
    if (!in.take(traits_of(t).bytes, data)) return GgufRead::truncated;
    out = GgufValue(t, t, 0, data);
    return GgufRead::ok;
  }
  if (depth >= kGgufMaxNesting) return GgufRead::too_deep;
  uint32_t element = 0;
  uint64_t count = 0;
  if (!in.read(element) || !in.read(count)) return GgufRead::truncated;
  if (element >= kTypes.size()) {
    found_type = element;
    return GgufRead::bad_type;
  }
  const auto e = static_cast<GgufType>(element);
  const size_t begin = in.pos;
  if (const uint64_t size = traits_of(e).bytes; size != 0) {
    if (!in.take(count > UINT64_MAX / size ? UINT64_MAX : count * size, data)) return GgufRead::truncated;
  } else {
    GgufValue item;  // each takes at least 8 bytes of the file, so a claimed count cannot outrun it
    for (uint64_t i = 0; i < count; ++i)
      if (const GgufRead r = read_gguf_value(in, element, depth + 1, item, found_type); r != GgufRead::ok)
        return r;
  }
  out = GgufValue(t, e, count, in.bytes.subspan(begin, in.pos - begin));
  return GgufRead::ok;
}

std::string GgufValue::type_text() const {
  if (type_ != GgufType::array) return std::string(gguf_type_name(type_));
  return fmt::format("array of {}", gguf_type_name(element_));
}

std::optional<int64_t> GgufValue::as_int() const {
  switch (type_) {
    case GgufType::u8:
      return load<uint8_t>(data_);
    case GgufType::i8:
      return load<int8_t>(data_);
    case GgufType::u16:
      return load<uint16_t>(data_);
    case GgufType::i16:
      return load<int16_t>(data_);
    case GgufType::u32:
      return load<uint32_t>(data_);
    case GgufType::i32:
      return load<int32_t>(data_);
    case GgufType::i64:
      return load<int64_t>(data_);
    case GgufType::u64: {
      const auto v = load<uint64_t>(data_);
      if (v > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(v);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> GgufValue::as_number() const {
  if (type_ == GgufType::f32) return shortest_double(load<float>(data_));
  if (type_ == GgufType::f64) return load<double>(data_);
  if (const auto v = as_int()) return static_cast<double>(*v);
  return std::nullopt;
}

std::optional<bool> GgufValue::as_bool() const {
  if (type_ != GgufType::boolean) return std::nullopt;
  return load<uint8_t>(data_) != 0;
}

std::optional<std::string_view> GgufValue::as_string() const {
  if (type_ != GgufType::string) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(data_.data()), data_.size());
}

std::optional<std::vector<GgufValue>> GgufValue::as_items() const {
  if (type_ != GgufType::array) return std::nullopt;
  std::vector<GgufValue> items;
  items.reserve(
      static_cast<size_t>(count_));  // at most the file's size: count was walked when the file was parsed
  GgufCursor in{data_};
  uint32_t found = 0;
  for (uint64_t i = 0; i < count_; ++i) {
    GgufValue item;
    read_gguf_value(in, static_cast<uint32_t>(element_), 0, item, found);
    items.push_back(item);
  }
  return items;
}

std::optional<std::vector<std::string_view>> GgufValue::as_strings() const {
  if (type_ != GgufType::array || element_ != GgufType::string) return std::nullopt;
  std::vector<std::string_view> strings(static_cast<size_t>(count_));
  GgufCursor in{data_};
  for (std::string_view& s : strings) in.read_string(s);
  return strings;
}

std::optional<std::vector<int64_t>> GgufValue::as_ints() const {
  if (type_ != GgufType::array) return std::nullopt;
  const auto items = as_items();
  std::vector<int64_t> ints;
  ints.reserve(items->size());
  for (const GgufValue& item : *items) {
    const auto v = item.as_int();
    if (!v) return std::nullopt;
    ints.push_back(*v);
  }
  return ints;
}

}  // namespace qw
