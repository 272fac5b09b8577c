#include "hub/external.h"

#include <strings.h>

#include <algorithm>

#include "base/env.h"
#include "base/json.h"
#include "base/mmap.h"
#include "hub/select.h"
#include "hub/sources.h"

namespace qw::hub {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxManifest = size_t{1} << 20, kMaxIndex = size_t{64} << 20;

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code ec;
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec))
    out.push_back(it->path());
  return out;
}

int64_t size_of(const fs::path& file) {
  std::error_code ec;
  const uintmax_t n = fs::file_size(file, ec);
  return ec ? 0 : static_cast<int64_t>(n);
}

std::string trimmed(std::string s) {
  const size_t end = s.find_last_not_of(" \t\r\n");
  s.resize(end == s.npos ? 0 : end + 1);
  return s;
}

// ---- Hugging Face: models--ORG--NAME/{refs/main, snapshots/COMMIT/…, blobs/HASH}

// Whether what io opens of a folder is there to the last file: another program may still fetch it, or have
// fetched a part alone.
bool has_weights(const fs::path& snapshot) {
  std::error_code ec;
  const auto there = [&](const std::string& file) {
    return safe_path(file) && fs::exists(snapshot / file, ec);
  };
  if (!there("config.json")) return false;
  if (there("model.safetensors")) return true;
  const Result<std::string> index = read_file(snapshot / "model.safetensors.index.json", kMaxIndex);
  const auto shards = index ? index_shards(*index) : std::nullopt;
  return shards && std::all_of(shards->begin(), shards->end(), there);
}

// The snapshot of refs/main, where it has weights in full (a cache may hold the config alone).
std::optional<ExternalModel> cached_model(const fs::path& folder) {
  std::string name = folder.filename().string();
  if (!name.starts_with("models--")) return std::nullopt;
  name.erase(0, 8);
  const size_t dashes = name.find("--");
  if (dashes != name.npos) name = fmt::format("{}/{}", name.substr(0, dashes), name.substr(dashes + 2));
  const Result<std::string> ref = read_file(folder / "refs/main", 4096);
  if (!ref || !safe_path(trimmed(*ref)) || !parse_name("hf:" + name)) return std::nullopt;
  const fs::path snapshot = folder / "snapshots" / trimmed(*ref);
  std::error_code ec;
  ExternalModel out{.name = name, .program = "Hugging Face", .path = snapshot};
  fs::path gguf;
  for (const fs::path& file : entries(snapshot)) {
    if (!fs::exists(file, ec)) continue;  // a link whose blob is gone
    out.bytes += size_of(file);
    if (is_model_gguf(file.filename().string()) && (gguf.empty() || file < gguf)) gguf = file;
  }
  if (has_weights(snapshot)) return out;
  if (gguf.empty()) return std::nullopt;
  out.path = gguf;
  return out;
}

// ---- Ollama: manifests/HOST/ORG/NAME/TAG, blobs/sha256-HEX

std::string text_at(const Json& json, const char* key) {
  if (!json.is_object() || !json.contains(key) || !json[key].is_string()) return {};
  return json[key].get<std::string>();
}

std::optional<ExternalModel> manifest_model(const fs::path& root, const fs::path& manifest) {
  const Result<std::string> text = read_file(manifest, kMaxManifest);
  const Result<Json> json = text ? parse_json(*text, manifest.string()) : tl::unexpected<Error>(text.error());
  if (!json || !json->is_object() || !json->contains("layers") || !(*json)["layers"].is_array())
    return std::nullopt;
  const fs::path below = manifest.lexically_relative(root / "manifests");
  const std::string tag = below.filename().string(), repo = below.parent_path().filename().string(),
                    org = below.parent_path().parent_path().filename().string();
  ExternalModel out{.name = org == "library" ? fmt::format("ollama:{}:{}", repo, tag)
                                             : fmt::format("ollama:{}/{}:{}", org, repo, tag),
                    .program = "Ollama"};
  for (const Json& layer : (*json)["layers"]) {
    if (text_at(layer, "mediaType") != "application/vnd.ollama.image.model") continue;
    const std::string digest = text_at(layer, "digest");
    if (!digest.starts_with("sha256:")) continue;
    const std::string file = "sha256-" + digest.substr(7);
    if (!safe_path(file)) continue;
    out.path = root / "blobs" / file;
    out.bytes = size_of(out.path);
  }
  if (out.bytes == 0) return std::nullopt;
  return out;
}

void add_manifests(const fs::path& root, const fs::path& folder, int depth, std::vector<ExternalModel>& out) {
  std::error_code ec;
  for (const fs::path& path : entries(folder)) {
    if (depth < 3 && fs::is_directory(path, ec)) add_manifests(root, path, depth + 1, out);
    if (depth == 3 && fs::is_regular_file(path, ec))
      if (auto model = manifest_model(root, path)) out.push_back(*std::move(model));
  }
}

}  // namespace

ExternalFolders external_folders() {
  ExternalFolders out;
  const std::string hf = huggingface_home();
  if (const auto cache = env("HF_HUB_CACHE"))
    out.huggingface = *cache;
  else if (!hf.empty())
    out.huggingface = fs::path(hf) / "hub";
  if (const auto models = env("OLLAMA_MODELS")) out.ollama.emplace_back(*models);
  if (const auto home = env("HOME")) out.ollama.push_back(fs::path(*home) / ".ollama/models");
  out.ollama.emplace_back("/usr/share/ollama/.ollama/models");
  return out;
}

std::vector<ExternalModel> external_models(const ExternalFolders& folders) {
  std::vector<ExternalModel> out;
  for (const fs::path& folder : entries(folders.huggingface))
    if (auto model = cached_model(folder)) out.push_back(*std::move(model));
  for (const fs::path& root : folders.ollama) {
    std::vector<ExternalModel> found;
    add_manifests(root, root / "manifests", 0, found);
    for (ExternalModel& model : found)
      if (std::none_of(out.begin(), out.end(), [&](const auto& o) { return o.name == model.name; }))
        out.push_back(std::move(model));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

std::optional<ExternalModel> find_external(const ExternalFolders& folders, std::string_view name) {
  const Result<ModelName> parsed = parse_name(name);
  const std::string wanted = parsed ? parsed->text() : std::string(name);
  for (ExternalModel& model : external_models(folders))
    if (::strcasecmp(model.name.c_str(), wanted.c_str()) == 0) return std::move(model);
  return std::nullopt;
}

std::optional<fs::path> external_blob(const ExternalFolders& folders, const ModelName& name,
                                      const RemoteFile& file) {
  if (file.hash_kind == HashKind::none) return std::nullopt;
  std::vector<fs::path> places;
  const std::string repository = name.org.empty() ? fmt::format("models--{}", name.repo)
                                                  : fmt::format("models--{}--{}", name.org, name.repo);
  if (!folders.huggingface.empty()) places.push_back(folders.huggingface / repository / "blobs" / file.hash);
  if (file.hash_kind == HashKind::sha256)
    for (const fs::path& root : folders.ollama) places.push_back(root / "blobs" / ("sha256-" + file.hash));
  for (const fs::path& place : places)
    if (size_of(place) == file.size && file.size > 0) return place;
  return std::nullopt;
}

}  // namespace qw::hub
