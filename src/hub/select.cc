#include "hub/select.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "base/text_files.h"

namespace qw::hub {
namespace {

constexpr std::string_view kIndex = "model.safetensors.index.json", kSingle = "model.safetensors";
constexpr size_t kMaxKnown = 40;

// Beside the weights and the text files (base/text_files.h) of a folder.
constexpr auto kCompanions = std::to_array<std::string_view>({
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "quantize_config.json",
    "quant_config.json",
    "hf_quant_config.json",
    "adapter_config.json",
    "kernel_config.json",
});

// The order in which a quantisation is chosen where none is asked for: small, but close to the original.
constexpr std::array<std::string_view, 12> kPreferred{"Q4_K_M", "Q4_K_S", "Q4_0", "Q4_1", "Q5_K_M", "Q5_0",
                                                      "Q5_1",   "Q6_K",   "Q8_0", "F16",  "BF16",   "F32"};

std::string upper(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return out;
}

std::string_view file_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

bool is_companion(std::string_view path) {
  return std::find(kCompanions.begin(), kCompanions.end(), path) != kCompanions.end() || is_text_file(path);
}

const RemoteFile* find(const Listing& listing, std::string_view path) {
  for (const RemoteFile& file : listing.files)
    if (file.path == path) return &file;
  return nullptr;
}

// "…-00002-of-00003.gguf" is part 2 of 3; {0, 0} for a whole file.
struct Split {
  int part = 0, parts = 0;
};
Split split_of(std::string_view path) {
  constexpr size_t kTail = 20;  // "-00002-of-00003.gguf"
  if (path.size() <= kTail || !path.ends_with(".gguf")) return {};
  const std::string_view tail = path.substr(path.size() - kTail);
  const auto number = [&tail](size_t at) {
    int n = 0;
    for (size_t i = at; i < at + 5; ++i) {
      if (tail[i] < '0' || tail[i] > '9') return 0;
      n = n * 10 + (tail[i] - '0');
    }
    return n;
  };
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-") return {};
  return {number(1), number(10)};
}

// A GGUF model: its parts in order.
struct Gguf {
  std::string quant, variant;  // as in Selection
  std::vector<RemoteFile> parts;
  int n_parts = 1;
  int64_t bytes() const {
    int64_t n = 0;
    for (const RemoteFile& p : parts) n += p.size;
    return n;
  }
};

std::vector<Gguf> ggufs(const Listing& listing) {
  std::map<std::string, Gguf> by_stem;
  for (const RemoteFile& file : listing.files) {
    if (!is_model_gguf(file.path)) continue;
    const Split split = split_of(file.path);
    const std::string stem = split.parts > 0 ? file.path.substr(0, file.path.size() - 20) : file.path;
    Gguf& g = by_stem[stem + fmt::format("/{}", split.parts)];
    g.quant = quant_of(file.path);
    g.n_parts = std::max(split.parts, 1);
    g.parts.push_back(file);
  }
  std::vector<Gguf> out;
  std::map<std::string, int> n_of_quant;
  for (const auto& [stem, g] : by_stem) ++n_of_quant[upper(g.quant)];
  for (auto& [stem, g] : by_stem) {
    g.variant = g.quant;
    if (g.quant.empty() || n_of_quant[upper(g.quant)] > 1)
      g.variant += fmt::format("{}{:08x}", g.quant.empty() ? "" : ".", name_key(stem) & 0xFFFFFFFF);
    std::sort(g.parts.begin(), g.parts.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    out.push_back(std::move(g));
  }
  std::sort(out.begin(), out.end(), [](const Gguf& a, const Gguf& b) { return a.bytes() < b.bytes(); });
  return out;
}

const Gguf* usual(const std::vector<Gguf>& models) {
  for (const std::string_view quant : kPreferred)
    for (const Gguf& g : models)
      if (upper(g.quant) == quant) return &g;
  return models.empty() ? nullptr : &models.front();
}

std::string known_quants(const std::vector<Gguf>& models) {
  std::vector<std::string> names;
  for (const Gguf& g : models)
    if (names.size() < kMaxKnown)
      names.push_back(fmt::format("{} ({}{:.2g} GB)", g.variant,
                                  g.variant == g.quant ? "" : g.parts.front().path + ", ",
                                  static_cast<double>(g.bytes()) / 1e9));
  return names.empty() ? "-" : fmt::format("{}", fmt::join(names, ", "));
}

Result<const Gguf*> wanted_gguf(const Listing& listing, const std::vector<Gguf>& models) {
  const ModelName& name = listing.name;
  for (const Gguf& g : models) {
    if (!name.file.empty() && g.parts.front().path == name.file) return &g;
    const std::string asked = name.file.empty() ? upper(name.quant) : std::string();
    if (!asked.empty() && (upper(g.quant) == asked || upper(g.variant) == asked)) return &g;
  }
  if (!name.file.empty()) return fail("hub.no_file", {{"name", name.repository()}, {"file", name.file}});
  if (!name.quant.empty())
    return fail("hub.no_quant",
                {{"name", name.repository()}, {"quant", name.quant}, {"known", known_quants(models)}});
  return usual(models);
}

Result<Selection> select_gguf(const Listing& listing, const std::vector<Gguf>& models) {
  QW_TRY(const Gguf* g, wanted_gguf(listing, models));
  Selection out{.quant = g->quant, .variant = g->variant, .model_file = g->parts.front().path};
  for (int i = 0; i < g->n_parts; ++i) {
    const bool there = static_cast<size_t>(i) < g->parts.size() &&
                       (g->n_parts == 1 || split_of(g->parts[static_cast<size_t>(i)].path).part == i + 1);
    if (!there)
      return fail("hub.missing_part", {{"name", listing.name.repository()}, {"file", g->parts.front().path}});
  }
  for (const RemoteFile& file : listing.files)
    if (is_licence_file(file.path)) out.files.push_back(file);
  if (listing.name.source == Source::ollama)
    for (const RemoteFile& file : listing.files)
      if (!is_model_gguf(file.path) && !is_licence_file(file.path)) out.files.push_back(file);
  out.files.insert(out.files.end(), g->parts.begin(), g->parts.end());
  return out;
}

// A single file wins over an index, which then is an old one: so io and transformers read a folder.
Result<Selection> select_folder(const Listing& listing, std::string_view index) {
  std::set<std::string> weights;
  if (find(listing, kSingle) != nullptr) {
    weights.insert(std::string(kSingle));
  } else if (find(listing, kIndex) != nullptr) {
    auto shards = index_shards(index);
    if (!shards) return fail("hub.bad_index", {{"name", listing.name.repository()}, {"file", kIndex}});
    weights = *std::move(shards);
    weights.insert(std::string(kIndex));
  } else {
    weights.insert("adapter_model.safetensors");
  }
  Selection out;
  for (const RemoteFile& file : listing.files)
    if (is_companion(file.path) && !weights.contains(file.path)) out.files.push_back(file);
  for (const std::string& path : weights) {
    const RemoteFile* file = find(listing, path);
    if (file == nullptr)
      return fail("hub.missing_part", {{"name", listing.name.repository()}, {"file", path}});
    out.files.push_back(*file);
  }
  std::stable_sort(out.files.begin(), out.files.end(), [](const RemoteFile& a, const RemoteFile& b) {
    return !a.path.ends_with(".safetensors") && b.path.ends_with(".safetensors");
  });
  return out;
}

bool has_folder_weights(const Listing& listing) {
  return find(listing, kIndex) != nullptr || find(listing, kSingle) != nullptr ||
         find(listing, "adapter_model.safetensors") != nullptr;
}

bool wants_gguf(const Listing& listing) {
  const ModelName& name = listing.name;
  return !name.quant.empty() || (!name.file.empty() && name.file.ends_with(".gguf"));
}

}  // namespace

bool is_model_gguf(std::string_view path) {
  const std::string name = upper(file_name(path));
  return name.ends_with(".GGUF") && name.find("MMPROJ") == name.npos && name.find("IMATRIX") == name.npos;
}

int64_t Selection::total_bytes() const {
  int64_t n = 0;
  for (const RemoteFile& file : files) n += file.size;
  return n;
}

std::string quant_of(std::string_view path) {
  static constexpr std::array<std::string_view, 9> kHeads{"Q",   "IQ",   "TQ",    "BF16", "F16",
                                                          "F32", "FP16", "MXFP4", "NVFP4"};
  const Split split = split_of(path);
  std::string_view stem = path.substr(0, path.size() - (split.parts > 0           ? 20
                                                        : path.ends_with(".gguf") ? 5
                                                                                  : 0));
  // The last word between "-", "." and "/" that looks like one.
  std::string found;
  for (size_t begin = 0; begin <= stem.size();) {
    const size_t end = std::min(stem.find_first_of("-./", begin), stem.size());
    const std::string_view word = stem.substr(begin, end - begin);
    const std::string big = upper(word);
    for (const std::string_view head : kHeads) {
      const bool numbered = head.size() <= 2;
      if (!big.starts_with(head)) continue;
      const bool fits = numbered ? big.size() > head.size() + 1 && big[head.size()] >= '0' &&
                                       big[head.size()] <= '9' && big[head.size() + 1] == '_'
                                 : big == head || big.starts_with(std::string(head) + "_");
      if (!fits) continue;
      const bool dynamic = begin >= 3 && upper(stem.substr(begin - 3, 3)) == "UD-";
      found = (dynamic ? "UD-" : "") + std::string(word);
    }
    begin = end + 1;
  }
  return found;
}

std::optional<std::set<std::string>> index_shards(std::string_view index) {
  // Not ordered_json, which looks through all keys for each one: an index has one for every tensor, of
  // experts a hundred thousand.
  const auto json = nlohmann::json::parse(index, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
    return std::nullopt;
  std::set<std::string> out;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    if (!file.is_string()) return std::nullopt;
    out.insert(file.get<std::string>());
  }
  return out;
}

std::optional<RemoteFile> index_wanted(const Listing& listing) {
  if (wants_gguf(listing) || find(listing, kSingle) != nullptr) return std::nullopt;
  const RemoteFile* file = find(listing, kIndex);
  return file == nullptr ? std::nullopt : std::optional(*file);
}

Result<Selection> select_files(const Listing& listing, std::string_view index) {
  if (listing.name.source == Source::url) {
    Selection out{.files = listing.files};
    const RemoteFile& file = listing.files.front();
    out.quant = quant_of(file.path);
    if (upper(file.path).ends_with(".GGUF")) {
      out.model_file = file.path;
      return out;
    }
    return fail("hub.no_weights", {{"name", listing.name.text()}, {"found", file.path}});
  }
  const std::vector<Gguf> models = ggufs(listing);
  if (wants_gguf(listing) || (!has_folder_weights(listing) && !models.empty()))
    return select_gguf(listing, models);
  if (has_folder_weights(listing)) return select_folder(listing, index);
  std::string found = "-";
  for (const RemoteFile& file : listing.files)
    for (const char* end : {".bin", ".pt", ".pth", ".msgpack", ".h5", ".onnx", ".safetensors"})
      if (file.path.ends_with(end)) found = file.path;
  return fail("hub.no_weights", {{"name", listing.name.text()}, {"found", found}});
}

}  // namespace qw::hub
