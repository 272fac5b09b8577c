#include "io/hf/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "base/json.h"
#include "io/file_kind.h"
#include "io/json_events.h"

namespace qw {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;

struct DTypeBytes {
  std::string_view name;
  int64_t bytes;
};
constexpr std::array kDTypes = std::to_array<DTypeBytes>({
    {"F64", 8},
    {"I64", 8},
    {"U64", 8},
    {"F32", 4},
    {"I32", 4},
    {"U32", 4},
    {"F16", 2},
    {"BF16", 2},
    {"I16", 2},
    {"U16", 2},
    {"I8", 1},
    {"U8", 1},
    {"BOOL", 1},
    {"F8_E4M3", 1},
    {"F8_E5M2", 1},
    {"F8_E8M0", 1},
    {"F8_E4M3FNUZ", 1},
    {"F8_E5M2FNUZ", 1},
});

// One entry of the header as written, before any check against the file.
struct RawEntry {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> offsets;
  bool has_shape = false;
  bool has_offsets = false;
};

std::string shape_text(const std::vector<uint64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// Reads {"name": {"dtype": …, "shape": […], "data_offsets": [a, b]}, …, "__metadata__": {"key": "value", …}}
// without building a tree: a header may hold 100 MB of hostile JSON.
class HeaderReader final : public JsonEvents {
 public:
  explicit HeaderReader(std::string_view file) : file_(file) {}

  std::vector<RawEntry> entries;
  std::map<std::string, std::string, std::less<>> metadata;

 private:
  bool on_begin(bool object) override {
    if (depth() == 0) return object || bad("");
    if (depth() == 1) {
      if (!object) return bad("");
      in_metadata_ = name() == "__metadata__";
      if (!in_metadata_) entries.push_back({.name = name(), .dtype = {}, .shape = {}, .offsets = {}});
      return true;
    }
    if (in_metadata_) return bad(key());
    if (depth() == 2 && !object && known_key()) {
      if (key() == "dtype") return bad("dtype");
      bool& seen = key() == "shape" ? entries.back().has_shape : entries.back().has_offsets;
      return !std::exchange(seen, true) || duplicate(key());
    }
    return !known_key() || bad(key());
  }
  bool on_string(std::string& value) override {
    if (depth() <= 1) return bad("");
    if (depth() == 2 && in_metadata_) {
      if (!metadata.emplace(key(), std::move(value)).second) return duplicate(key());
      return true;
    }
    if (depth() == 2 && key() == "dtype") {
      if (!entries.back().dtype.empty()) return duplicate(key());
      entries.back().dtype = std::move(value);
      return true;
    }
    return !known_key() || bad(key());
  }
  bool on_unsigned(uint64_t value) override {
    if (depth() <= 1 || in_metadata_) return bad(key());
    if (depth() == 3 && key() == "shape") {
      entries.back().shape.push_back(value);
      return true;
    }
    if (depth() == 3 && key() == "data_offsets") {
      entries.back().offsets.push_back(value);
      return true;
    }
    return !known_key() || bad(key());
  }
  bool on_other() override { return depth() >= 2 && !in_metadata_ && !known_key() ? true : bad(key()); }

  const std::string& name() const { return path()[0]; }
  std::string key() const { return path().size() > 1 ? path()[1] : std::string(); }
  bool known_key() const { return key() == "dtype" || key() == "shape" || key() == "data_offsets"; }
  bool bad(std::string_view what) {
    return stop(Error(
        "safetensors.entry",
        {{"file", file_}, {"tensor", path().empty() ? "" : name()}, {"key", what.empty() ? "{}" : what}}));
  }
  bool duplicate(std::string_view what) {
    return stop(Error("safetensors.duplicate", {{"file", file_}, {"tensor", what}}));
  }

  std::string_view file_;
  bool in_metadata_ = false;
};

// Product of the extents times the element size; none on overflow of int64.
std::optional<uint64_t> byte_count(const std::vector<uint64_t>& shape, int64_t element_bytes) {
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  auto n = static_cast<uint64_t>(element_bytes);
  for (const uint64_t d : shape) {
    if (d > kMax || (d != 0 && n > kMax / d)) return std::nullopt;
    n *= d;
  }
  return n;
}

// Checks one entry against the format and the data section. `expected_begin` is where the entry before it
// ended.
Result<SafetensorsTensor> check_entry(const RawEntry& e, std::span<const std::byte> data,
                                      uint64_t expected_begin, std::string_view file) {
  const auto missing = [&](std::string_view key) {
    return fail("safetensors.entry", {{"file", file}, {"tensor", e.name}, {"key", key}});
  };
  if (e.dtype.empty()) return missing("dtype");
  if (!e.has_shape) return missing("shape");
  if (e.offsets.size() != 2) return missing("data_offsets");
  const std::optional<int64_t> element = safetensors_dtype_bytes(e.dtype);
  if (!element) return fail("safetensors.dtype", {{"file", file}, {"tensor", e.name}, {"found", e.dtype}});
  const std::optional<uint64_t> size = byte_count(e.shape, *element);
  if (!size)
    return fail("safetensors.shape", {{"file", file}, {"tensor", e.name}, {"found", shape_text(e.shape)}});
  const uint64_t begin = e.offsets[0];
  const uint64_t end = e.offsets[1];
  if (begin != expected_begin || end < begin)
    return fail(
        "safetensors.offsets",
        {{"file", file}, {"tensor", e.name}, {"expected", expected_begin}, {"found", shape_text(e.offsets)}});
  if (end - begin != *size)
    return fail("safetensors.size",
                {{"file", file}, {"tensor", e.name}, {"expected", *size}, {"found", end - begin}});
  if (end > data.size())
    return fail("safetensors.truncated", {{"file", file}, {"expected", end}, {"found", data.size()}});
  SafetensorsTensor t{.dtype = e.dtype, .shape = {}, .bytes = data.subspan(begin, end - begin)};
  for (const uint64_t d : e.shape) t.shape.push_back(static_cast<int64_t>(d));
  return t;
}

}  // namespace

std::optional<int64_t> safetensors_dtype_bytes(std::string_view dtype) {
  for (const DTypeBytes& d : kDTypes)
    if (d.name == dtype) return d.bytes;
  return std::nullopt;
}

Result<SafetensorsContent> parse_safetensors(std::span<const std::byte> bytes, std::string_view file) {
  uint64_t header_bytes = 0;
  if (bytes.size() >= 9 && std::to_integer<char>(bytes[8]) == '{')
    std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  else
    return tl::unexpected(foreign_file_error(bytes, file));
  if (header_bytes > kMaxHeaderBytes)
    return fail("safetensors.header_size",
                {{"file", file}, {"found", header_bytes}, {"limit", kMaxHeaderBytes}});
  if (header_bytes > bytes.size() - 8)
    return fail("safetensors.truncated",
                {{"file", file}, {"expected", header_bytes + 8}, {"found", bytes.size()}});

  HeaderReader reader(file);
  const std::string_view json(reinterpret_cast<const char*>(bytes.data()) + 8, header_bytes);
  QW_TRY(reader.read(json, "safetensors.header", file));
  // By begin, then end: an empty tensor stands before the one that begins at the same byte.
  std::stable_sort(reader.entries.begin(), reader.entries.end(),
                   [](const RawEntry& a, const RawEntry& b) { return a.offsets < b.offsets; });
  const std::span<const std::byte> data = bytes.subspan(8 + header_bytes);
  SafetensorsContent content{.tensors = {}, .metadata = std::move(reader.metadata)};
  uint64_t end = 0;
  for (RawEntry& e : reader.entries) {
    QW_TRY(SafetensorsTensor t, check_entry(e, data, end, file));
    end = e.offsets[1];
    if (!content.tensors.emplace(e.name, std::move(t)).second)
      return fail("safetensors.duplicate", {{"file", file}, {"tensor", e.name}});
  }
  if (end != data.size())
    return fail("safetensors.trailing", {{"file", file}, {"expected", end}, {"found", data.size()}});
  return content;
}

Result<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::open(const std::filesystem::path& path) {
  QW_TRY(auto map, MappedFile::open(path));
  QW_TRY(auto content, parse_safetensors(map->bytes(), path.string()));
  return std::shared_ptr<const SafetensorsFile>(new SafetensorsFile(std::move(map), std::move(content)));
}

Result<SafetensorsSet> open_safetensors(const std::filesystem::path& path) {
  QW_TRY(auto file, SafetensorsFile::open(path));
  SafetensorsSet set;
  for (const auto& [name, tensor] : file->content().tensors)
    set.tensors.emplace(name, SafetensorsSet::Item{file, &tensor});
  set.files.push_back(std::move(file));
  return set;
}

}  // namespace qw
