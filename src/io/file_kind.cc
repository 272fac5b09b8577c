#include "io/file_kind.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>

namespace qw {
namespace {

constexpr size_t kLooked = 512;  // bytes that are looked at

bool looks_like_safetensors(std::string_view head) {
  if (head.size() < 9 || head[8] != '{') return false;
  uint64_t length = 0;
  std::memcpy(&length, head.data(), sizeof(length));
  return length >= 2 && length <= 100'000'000;
}

bool is_text(std::string_view head) {
  return std::all_of(head.begin(), head.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u >= 0x20 || c == '\n' || c == '\r' || c == '\t';
  });
}

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view code_of(std::string_view head) {
  if (head.empty()) return "file_kind.empty";
  if (head.starts_with("version https://git-lfs.github.com/spec/")) return "file_kind.lfs_pointer";
  if (head.starts_with("GGUF")) return "file_kind.gguf";
  if (head.starts_with("PK\x03\x04")) return "file_kind.zip";
  if (head.starts_with("\x80\x02") || head.starts_with("\x80\x03") || head.starts_with("\x80\x04"))
    return "file_kind.pickle";
  if (head.starts_with("\x1f\x8b") || head.starts_with("\x28\xb5\x2f\xfd") ||
      head.starts_with("\xfd"
                       "7zXZ"))
    return "file_kind.compressed";
  if (looks_like_safetensors(head)) return "file_kind.safetensors";
  const size_t start = head.find_first_not_of(" \t\r\n");
  const std::string text = lower(start == std::string_view::npos ? "" : head.substr(start));
  if (text.starts_with("<!doctype html") || text.starts_with("<html") || text.starts_with("<?xml"))
    return "file_kind.html";
  if (is_text(head))
    return text.starts_with("{") || text.starts_with("[") ? "file_kind.json" : "file_kind.text";
  return "file_kind.unknown";
}

}  // namespace

Error foreign_file_error(std::span<const std::byte> bytes, std::string_view file) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kLooked));
  const std::string_view code = code_of(head);
  Error error(code, {{"file", file}});
  if (code == "file_kind.unknown") {
    std::string begin;
    for (const char c : head.substr(0, 8)) begin += fmt::format("{:02x}", static_cast<unsigned char>(c));
    error.with("begin", begin);
  }
  return error;
}

bool is_gguf(const std::filesystem::path& path) {
  std::array<char, 4> magic{};
  std::ifstream in(path, std::ios::binary);
  return in.read(magic.data(), magic.size()) && std::string_view(magic.data(), magic.size()) == "GGUF";
}

}  // namespace qw
