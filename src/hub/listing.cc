#include "hub/listing.h"

#include <algorithm>
#include <set>

namespace qw::hub {
namespace {

constexpr size_t kMaxPart = 200, kMaxPath = 1024;

bool valid_utf8(std::string_view s) {
  for (size_t i = 0; i < s.size();) {
    const auto c = static_cast<unsigned char>(s[i]);
    const size_t n = c < 0x80                ? 1
                     : c >= 0xC2 && c < 0xE0 ? 2
                     : c >= 0xE0 && c < 0xF0 ? 3
                     : c >= 0xF0 && c < 0xF5 ? 4
                                             : 0;
    if (n == 0 || i + n > s.size()) return false;
    for (size_t k = 1; k < n; ++k)
      if ((static_cast<unsigned char>(s[i + k]) & 0xC0) != 0x80) return false;
    i += n;
  }
  return true;
}

bool safe_part(std::string_view part) {
  if (part.empty() || part == "." || part == ".." || part.size() > kMaxPart || part.starts_with(".qw"))
    return false;
  return std::none_of(part.begin(), part.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u < 0x20 || u == 0x7F || c == '\\';
  });
}

std::string lower(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

std::string shown(std::string_view path) {
  std::string out(path.substr(0, kMaxPart));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  return out;
}

}  // namespace

bool safe_path(std::string_view path) {
  if (path.empty() || path.size() > kMaxPath || !valid_utf8(path)) return false;
  while (true) {
    const size_t slash = path.find('/');
    if (!safe_part(path.substr(0, slash))) return false;
    if (slash == path.npos) return true;
    path.remove_prefix(slash + 1);
  }
}

Status check_paths(const Listing& listing) {
  for (const RemoteFile& file : listing.files)
    if (!safe_path(file.path))
      return fail("hub.unsafe_path", {{"repository", listing.name.text()}, {"path", shown(file.path)}});
  return {};
}

Status check_collisions(const ModelName& repository, const std::vector<RemoteFile>& wanted) {
  std::set<std::string> files, folders;
  for (const RemoteFile& file : wanted) {
    const std::string key = lower(file.path);
    bool good = files.insert(key).second && !folders.contains(key);
    for (size_t slash = key.find('/'); good && slash != key.npos; slash = key.find('/', slash + 1)) {
      folders.insert(key.substr(0, slash));
      good = !files.contains(key.substr(0, slash));
    }
    if (!good)
      return fail("hub.unsafe_path", {{"repository", repository.text()}, {"path", shown(file.path)}});
  }
  return {};
}

}  // namespace qw::hub
