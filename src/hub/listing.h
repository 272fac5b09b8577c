// What a repository holds: every file with its size, its hash and where to get it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hub/name.h"

namespace qw::hub {

enum class HashKind { none, sha256, git_sha1 };  // git_sha1: of "blob SIZE\0" and the content

struct RemoteFile {
  std::string path;  // inside the repository, with "/" between folders; checked by safe_path
  int64_t size = 0;
  HashKind hash_kind = HashKind::none;
  std::string hash = {};  // lower-case hexadecimal
  std::string url = {};
};

struct Listing {
  ModelName name = {};       // in the repository's own spelling
  std::string host = {};     // for people
  std::string commit = {};   // "" where the source has none
  std::string licence = {};  // "apache-2.0"; "" where it is not said
  std::string page = {};     // where a person reads about the model
  std::string etag = {};     // url: of the file
  bool has_token = false;
  std::vector<RemoteFile> files = {};
  std::vector<std::string> secret_headers = {};  // for the files
};

// A path that stays inside any folder: relative, no "." or ".." or empty part, no backslash or control
// character, valid UTF-8, parts of at most 200 bytes, at most 1024 in all, and no part ".qw…", which is ours.
// Test: tests/hub/name_test.cc
bool safe_path(std::string_view path);

// Both: hub.unsafe_path (args repository, path: with control characters shown as "?"). One unsafe path and a
// repository is not to be trusted in anything.
Status check_paths(const Listing& listing);
// No two of the files are the same but for the case of letters, and none is the folder of another.
Status check_collisions(const ModelName& repository, const std::vector<RemoteFile>& files);

}  // namespace qw::hub
