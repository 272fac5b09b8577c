#include <utility>

#include "io/hf/safetensors.h"
#include "io/json_events.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

// Reads {"metadata": …, "weight_map": {"tensor": "file", …}}.
class IndexReader final : public JsonEvents {
 public:
  explicit IndexReader(std::string_view file) : file_(file) {}

  std::map<std::string, std::string> files;
  bool found = false;

 private:
  bool in_map() const { return !path().empty() && path()[0] == "weight_map"; }
  bool on_begin(bool object) override {
    if (depth() == 0) return object || bad("{}");
    if (!in_map()) return true;
    if (depth() != 1 || !object) return bad("weight_map");
    found = true;
    return true;
  }
  bool on_string(std::string& value) override {
    if (!in_map()) return depth() > 0 || bad("{}");
    if (depth() != 2) return bad("weight_map");
    // A checkpoint must not read files outside its folder.
    if (value.empty() || value.find('/') != std::string::npos || value == "." || value == "..")
      return stop(Error("safetensors.index_path", {{"file", file_}, {"found", value}}));
    if (!files.emplace(path()[1], std::move(value)).second)
      return stop(Error("safetensors.duplicate", {{"file", file_}, {"tensor", path()[1]}}));
    return true;
  }
  bool on_unsigned(uint64_t) override { return on_other(); }
  bool on_other() override { return (depth() > 0 && !in_map()) || bad("weight_map"); }
  bool bad(std::string_view key) { return stop(Error("safetensors.index", {{"file", file_}, {"key", key}})); }

  std::string_view file_;
};

}  // namespace

Result<std::map<std::string, std::string>> parse_safetensors_index(std::string_view json,
                                                                   std::string_view file) {
  IndexReader reader(file);
  QW_TRY(reader.read(json, "json.parse", file));
  if (!reader.found) return fail("safetensors.index", {{"file", file}, {"key", "weight_map"}});
  return std::move(reader.files);
}

Result<SafetensorsSet> open_safetensors_index(const fs::path& index) {
  QW_TRY(const std::string json, read_file(index));
  QW_TRY(const auto weight_map, parse_safetensors_index(json, index.string()));
  SafetensorsSet set;
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> by_name;
  for (const auto& [tensor, name] : weight_map) {
    auto& file = by_name[name];
    if (!file) {
      const fs::path path = index.parent_path() / name;
      std::error_code ec;
      if (!fs::exists(path, ec))
        return fail("safetensors.shard_missing",
                    {{"file", index.string()}, {"missing", name}, {"tensor", tensor}});
      QW_TRY(file, SafetensorsFile::open(path));
      set.files.push_back(file);
    }
    const auto it = file->content().tensors.find(tensor);
    if (it == file->content().tensors.end())
      return fail("safetensors.not_in_shard", {{"file", file->path().string()}, {"tensor", tensor}});
    set.tensors.emplace(tensor, SafetensorsSet::Item{file, &it->second});
  }
  // A tensor that the index leaves out still belongs to the checkpoint (the loader will call it left over),
  // but two copies of one name have no right answer.
  for (const auto& file : set.files) {
    for (const auto& [name, tensor] : file->content().tensors) {
      const auto [it, added] = set.tensors.emplace(name, SafetensorsSet::Item{file, &tensor});
      if (!added && it->second.file != file)
        return fail("safetensors.in_two_files", {{"tensor", name},
                                                 {"file", file->path().string()},
                                                 {"other", it->second.file->path().filename().string()}});
    }
  }
  return set;
}

}  // namespace qw
