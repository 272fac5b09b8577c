#include "io/hf/folder.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "io/hf/quantised.h"
#include "io/hf/safetensors.h"
#include "io/hf/stacked_experts.h"
#include "io/hf/text_part.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxJsonBytes = size_t{64} << 20;  // of a config; real ones are a few kB

bool is_there(const fs::path& p) {
  std::error_code ec;
  return fs::exists(p, ec);
}
bool is_folder(const fs::path& p) {
  std::error_code ec;
  return fs::is_directory(p, ec);
}

Result<Json> read_object(const fs::path& path) {
  QW_TRY(const std::string text, read_file(path, kMaxJsonBytes));
  QW_TRY(Json json, parse_json(text, path.string()));
  if (!json.is_object()) return fail("hf.not_object", {{"file", path.string()}});
  return json;
}

std::string trimmed(std::string s) {
  const size_t end = s.find_last_not_of(" \t\r\n");
  s.resize(end == std::string::npos ? 0 : end + 1);
  return s;
}

// What qw read of the quantisation is no part of the model's config; what it did not know becomes a key that
// the architecture will warn of.
void drop_quantization(Json& config, const HfQuantization& q) {
  Json* holders[] = {&config, config.contains("text_config") ? &config["text_config"] : nullptr};
  for (Json* holder : holders) {
    if (holder == nullptr || !holder->is_object()) continue;
    holder->erase("quantization_config");
    holder->erase("compression_config");
  }
  for (const std::string& key : q.unknown_keys) config[key] = true;
}

// The tensor as the loader sees it; a type that no weight may have is refused (buffers that are let pass stay
// out).
Result<StoredTensor> stored(const std::string& name, const SafetensorsSet::Item& item) {
  const SafetensorsTensor& t = *item.tensor;
  const std::string file = item.file->path().string();
  const std::optional<QuantFormat> format = float_format(t.dtype);
  if (!format) {
    const std::string_view code = t.dtype.starts_with("F8") ? "hf.f8" : "hf.dtype";
    return fail(code, {{"file", file}, {"tensor", name}, {"found", t.dtype}});
  }
  return StoredTensor{
      .format = *format, .shape = t.shape, .bytes = t.bytes, .holder = item.file, .file = file};
}

// A body that was saved without its head (AutoModel, as embedding models are) names its tensors without
// "model.".
bool name_bare_body(std::map<std::string, StoredTensor, std::less<>>& tensors) {
  if (!tensors.contains("embed_tokens.weight") || tensors.contains("lm_head.weight")) return false;
  std::map<std::string, StoredTensor, std::less<>> named;
  for (auto& [name, tensor] : tensors) named.emplace("model." + name, std::move(tensor));
  tensors = std::move(named);
  return true;
}

constexpr std::array<const char*, 7> kOtherWeights{
    "pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt",        "consolidated.00.pth",
    "tf_model.h5",       "flax_model.msgpack",           "model.ckpt.index"};

}  // namespace

Result<fs::path> resolve_hf_folder(const fs::path& path) {
  if (!is_folder(path)) return fail("hf.no_folder", {{"file", path.string()}});
  const fs::path snapshots = path / "snapshots";
  if (is_there(path / "config.json") || !is_folder(snapshots)) return path;
  if (is_there(path / "refs" / "main")) {
    QW_TRY(const std::string ref, read_file(path / "refs" / "main", 4096));
    const std::string hash = trimmed(ref);
    if (!hash.empty() && hash.find('/') == std::string::npos && hash[0] != '.' && is_folder(snapshots / hash))
      return snapshots / hash;
  }
  std::vector<fs::path> found;
  std::error_code ec;
  for (const fs::directory_entry& e : fs::directory_iterator(snapshots, ec))
    if (is_folder(e.path())) found.push_back(e.path());
  if (found.empty()) return fail("hf.no_snapshot", {{"file", path.string()}});
  if (found.size() > 1) return fail("hf.which_snapshot", {{"file", path.string()}, {"found", found.size()}});
  return found.front();
}

Result<HfFolder> open_hf_folder(const fs::path& path) {
  HfFolder hf;
  QW_TRY(hf.folder, resolve_hf_folder(path));
  const fs::path config = hf.folder / "config.json";
  if (!is_there(config)) {
    const bool adapter = is_there(hf.folder / "adapter_config.json");
    return fail(adapter ? "hf.adapter" : "hf.no_config", {{"file", hf.folder.string()}});
  }
  QW_TRY(hf.config, read_object(config));
  QW_TRY(hf.quantization, read_quantization(hf.config, config));
  if (hf.quantization) drop_quantization(hf.config, *hf.quantization);
  const fs::path generation = hf.folder / "generation_config.json";
  if (is_there(generation)) {
    QW_TRY(const Json json, read_object(generation));
    QW_TRY(hf.generation, parse_generation_config(json, generation.string()));
  }
  QW_TRY(add_stop_ids(hf.config, config.string(), hf.generation));
  return hf;
}

Result<HfWeights> open_hf_weights(const fs::path& folder, const HfQuantization* quantization) {
  const fs::path index = folder / "model.safetensors.index.json";
  const fs::path single = folder / "model.safetensors";
  std::error_code ec;
  const bool has_single =
      is_there(single) || fs::is_symlink(single, ec);  // a dangling link is named when it is opened
  if (!has_single && !is_there(index)) {
    for (const char* other : kOtherWeights)
      if (is_there(folder / other)) return fail("hf.pytorch", {{"file", folder.string()}, {"found", other}});
    return fail("hf.no_weights", {{"file", folder.string()}});
  }
  QW_TRY(const SafetensorsSet set, has_single ? open_safetensors(single) : open_safetensors_index(index));
  QuantisedTensors quantised;
  if (quantization != nullptr) {
    QW_TRY(quantised, quantised_tensors(*quantization, set));
  }
  HfWeights weights;
  std::map<std::string, StoredTensor, std::less<>> tensors;
  for (auto& [name, tensor] : quantised.weights)
    if (const auto text_name = text_tensor_name(name)) tensors.emplace(*text_name, std::move(tensor));
  for (const auto& [name, item] : set.tensors) {
    if (quantised.used.contains(name)) continue;
    if (name.ends_with(".rotary_emb.inv_freq")) continue;  // let pass whatever its type
    const auto text_name = text_tensor_name(name);
    if (!text_name) {
      weights.other_parts[std::string(other_part(name))] += static_cast<int64_t>(item.tensor->bytes.size());
      continue;
    }
    QW_TRY(StoredTensor t, stored(name, item));
    t.may_be_left = quantised.zero_biases.contains(name);
    const std::string file = t.file;
    if (!tensors.emplace(*text_name, std::move(t)).second)
      return fail("hf.quant_twice", {{"file", file}, {"tensor", name}});
  }
  QW_TRY(split_stacked_experts(tensors));
  weights.bare_body = name_bare_body(tensors);
  for (const auto& file : set.files) weights.total_bytes += file->total_bytes();
  weights.n_files = static_cast<int>(set.files.size());
  weights.source =
      std::make_unique<StoredWeights>((has_single ? single : index).string(), std::move(tensors));
  return weights;
}

}  // namespace qw
