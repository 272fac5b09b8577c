#include "base/json.h"
#include "base/mmap.h"
#include "hub/store.h"

namespace qw::hub {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecord = ".qw.json";
constexpr size_t kMaxRecordBytes = size_t{16} << 20;
constexpr int kFormat = 1;

std::string_view kind_text(HashKind kind) {
  switch (kind) {
    case HashKind::sha256:
      return "sha256";
    case HashKind::git_sha1:
      return "git-sha1";
    case HashKind::none:
      return "none";
  }
  return {};
}

HashKind kind_of(std::string_view text) {
  return text == "sha256" ? HashKind::sha256 : text == "git-sha1" ? HashKind::git_sha1 : HashKind::none;
}

}  // namespace

int64_t Record::total_bytes() const {
  int64_t n = 0;
  for (const RemoteFile& file : files) n += file.size;
  return n;
}

Result<Record> read_record(const fs::path& folder) {
  const fs::path path = folder / kRecord;
  QW_TRY(const std::string text, read_file(path, kMaxRecordBytes));
  QW_TRY(const Json json, parse_json(text, path.string()));
  const auto bad = fail("hub.bad_record", {{"file", path.string()}});
  Record out;
  try {
    if (json.at("format").get<int>() != kFormat) return bad;
    for (const auto& [key, value] : {std::pair("name", &out.name),
                                     {"source", &out.source},
                                     {"revision", &out.revision},
                                     {"commit", &out.commit},
                                     {"quant", &out.quant},
                                     {"licence", &out.licence},
                                     {"model_file", &out.model_file},
                                     {"pulled", &out.pulled}})
      *value = json.at(key).get<std::string>();
    for (const Json& f : json.at("files"))
      out.files.push_back({.path = f.at("path").get<std::string>(),
                           .size = f.at("size").get<int64_t>(),
                           .hash_kind = kind_of(f.at("hash_kind").get<std::string>()),
                           .hash = f.at("hash").get<std::string>()});
  } catch (const Json::exception&) {
    return bad;
  }
  if (!out.model_file.empty() && !safe_path(out.model_file)) return bad;
  return out;
}

Status write_record(const fs::path& folder, const Record& record) {
  Json files = Json::array();
  for (const RemoteFile& f : record.files)
    files.push_back(
        {{"path", f.path}, {"size", f.size}, {"hash_kind", kind_text(f.hash_kind)}, {"hash", f.hash}});
  const Json json{{"format", kFormat},         {"name", record.name},
                  {"source", record.source},   {"revision", record.revision},
                  {"commit", record.commit},   {"quant", record.quant},
                  {"licence", record.licence}, {"model_file", record.model_file},
                  {"pulled", record.pulled},   {"files", std::move(files)}};
  return write_file_atomic(folder / kRecord, to_json_line(json) + "\n");
}

}  // namespace qw::hub
