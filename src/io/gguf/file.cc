// Files and their parts; the format of one part is in gguf/gguf.cc.
#include <algorithm>
#include <charconv>
#include <utility>

#include "io/gguf/gguf.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

// The pieces of "name-00002-of-00003.gguf".
struct SplitName {
  std::string prefix;
  int64_t no = 0;  // from 0
  int64_t count = 0;
};

std::optional<int64_t> five_digits(std::string_view text) {
  int64_t v = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (text.size() != 5 || ec != std::errc() || end != text.data() + text.size() || v < 0) return std::nullopt;
  return v;
}

std::string part_name(std::string_view prefix, int64_t no, int64_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, no + 1, count);
}

std::optional<SplitName> parse_split_name(std::string_view name) {
  constexpr size_t kTail = std::string_view("-00001-of-00001.gguf").size();
  if (name.size() <= kTail) return std::nullopt;
  const std::string_view tail = name.substr(name.size() - kTail);
  const auto no = five_digits(tail.substr(1, 5));
  const auto count = five_digits(tail.substr(10, 5));
  if (!no || !count || *no < 1 || *no > *count) return std::nullopt;
  const std::string_view prefix = name.substr(0, name.size() - kTail);
  if (part_name(prefix, *no - 1, *count) != name) return std::nullopt;
  return SplitName{std::string(prefix), *no - 1, *count};
}

int64_t int_or(const GgufContent& c, std::string_view key, int64_t fallback) {
  const auto it = c.metadata.find(key);
  if (it == c.metadata.end()) return fallback;
  return it->second.as_int().value_or(-1);
}

Status expect(const fs::path& file, std::string_view key, int64_t expected, int64_t found) {
  if (expected == found) return {};
  return fail("gguf.split_value",
              {{"file", file.string()}, {"key", key}, {"expected", expected}, {"found", found}});
}

}  // namespace

Result<GgufFile::Part> GgufFile::open_part(const fs::path& path) {
  QW_TRY(auto map, MappedFile::open(path));
  const std::span<const std::byte> bytes = map->bytes();
  QW_TRY(auto content, parse_gguf(bytes, path.string()));
  return Part{path, bytes, std::move(map), std::move(content)};
}

Result<std::shared_ptr<const GgufFile>> GgufFile::from_memory(std::span<const std::byte> bytes,
                                                              std::shared_ptr<const void> holder,
                                                              const fs::path& name) {
  QW_TRY(auto content, parse_gguf(bytes, name.string()));
  QW_TRY(expect(name, "split.count", 1, std::max<int64_t>(1, int_or(content, "split.count", 1))));
  std::shared_ptr<GgufFile> file(new GgufFile);
  QW_TRY(file->add({name, bytes, std::move(holder), std::move(content)}));
  return file;
}

Result<std::shared_ptr<const GgufFile>> GgufFile::open(const fs::path& path) {
  QW_TRY(Part given, open_part(path));
  const int64_t count = int_or(given.content, "split.count", 1);
  std::shared_ptr<GgufFile> file(new GgufFile);
  if (count <= 1) {
    QW_TRY(expect(path, "split.count", 1, count == 0 ? 1 : count));
    QW_TRY(file->add(std::move(given)));
    return file;
  }
  const std::optional<SplitName> name = parse_split_name(path.filename().string());
  if (!name)
    return fail("gguf.split_name",
                {{"file", path.string()},
                 {"expected", part_name("NAME", int_or(given.content, "split.no", 0), count)}});
  QW_TRY(expect(path, "split.count", name->count, count));
  int64_t n_tensors = -1;
  for (int64_t no = 0; no < count; ++no) {
    const fs::path part_path = path.parent_path() / part_name(name->prefix, no, count);
    std::error_code ec;
    if (!fs::exists(part_path, ec))
      return fail("gguf.split_missing",
                  {{"file", path.string()}, {"missing", part_path.filename().string()}});
    QW_TRY(Part part, open_part(part_path));
    QW_TRY(expect(part_path, "split.no", no, int_or(part.content, "split.no", -1)));
    QW_TRY(expect(part_path, "split.count", count, int_or(part.content, "split.count", -1)));
    if (no == 0) n_tensors = int_or(part.content, "split.tensors.count", -1);
    QW_TRY(file->add(std::move(part)));
  }
  QW_TRY(expect(file->path(), "split.tensors.count", static_cast<int64_t>(file->tensors_.size()), n_tensors));
  return file;
}

Status GgufFile::add(Part part) {
  if (parts_.empty()) {
    metadata_ = std::move(part.content.metadata);
    version_ = part.content.version;
  }
  for (auto& [name, tensor] : part.content.tensors)
    if (!tensors_.emplace(name, std::move(tensor)).second)
      return fail("gguf.duplicate", {{"file", part.path.string()}, {"name", name}});
  part.content = {};
  parts_.push_back(std::move(part));
  return {};
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto it = metadata_.find(key);
  return it == metadata_.end() ? nullptr : &it->second;
}

int64_t GgufFile::total_bytes() const {
  size_t n = 0;
  for (const Part& part : parts_) n += part.bytes.size();
  return static_cast<int64_t>(n);
}

}  // namespace qw
