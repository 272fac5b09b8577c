#include "io/checkpoint.h"

#include <cstring>
#include <utility>

#include "io/file_kind.h"
#include "io/gguf/config.h"
#include "io/gguf/hybrid.h"
#include "io/gguf/keys.h"
#include "io/gguf/names.h"
#include "io/hf/folder.h"
#include "io/hf/stacked_experts.h"
#include "io/stored_weights.h"
#include "nn/text_config.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

std::map<std::string, FormatCount> count_formats(const StoredWeights& weights) {
  std::map<std::string, FormatCount> counts;
  for (const auto& [name, t] : weights.tensors()) {
    FormatCount& c = counts[std::string(traits(t.format).name)];
    int64_t n = 1;
    for (const int64_t d : t.shape) n *= d;
    ++c.tensors;
    c.elements += n;
    c.bytes += t.packer ? t.packer->rows() * t.packer->row_size() : static_cast<int64_t>(t.bytes.size());
  }
  return counts;
}

// Heads of q or k where their rows are in llama.cpp's order, else 0.
int64_t rotary_heads(const Json& config, std::string_view gguf_name) {
  if (config["model_type"] != "llama") return 0;
  if (gguf_name.find(".attn_q.") != std::string_view::npos)
    return config["num_attention_heads"].get<int64_t>();
  if (gguf_name.find(".attn_k.") != std::string_view::npos)
    return config["num_key_value_heads"].get<int64_t>();
  return 0;
}

// "blk.0.attn_q.weight" and "scale" -> "blk.0.attn_q.scale".
std::string beside(std::string_view tensor, std::string_view kind) {
  return fmt::format("{}.{}", tensor.substr(0, tensor.rfind('.')), kind);
}

// Whether this is the scale of an nvfp4 tensor, or that of its inputs, which only kernels of 4 bits use.
bool is_nvfp4_scale(const GgufFile& file, std::string_view name) {
  if (!name.ends_with(".scale") && !name.ends_with(".input_scale")) return false;
  const auto it = file.tensors().find(beside(name, "weight"));
  return it != file.tensors().end() && it->second.type->format == QuantFormat::nvfp4;
}

// The scales of an nvfp4 tensor: none, one, or one for each matrix of a stack.
Result<std::vector<float>> nvfp4_scales(const GgufFile& file, const GgufTensor& t) {
  const auto it = file.tensors().find(beside(t.name, "scale"));
  if (it == file.tensors().end()) return std::vector<float>();
  std::vector<float> out(it->second.bytes.size() / sizeof(float));
  const size_t matrices = t.shape.size() == 3 ? static_cast<size_t>(t.shape[0]) : 1;
  if (it->second.type->format != QuantFormat::f32 || (out.size() != 1 && out.size() != matrices))
    return fail(
        "weights.shape",
        {{"file", file.path().string()},
         {"tensor", it->first},
         {"expected", fmt::format("F32 [{}]", matrices)},
         {"found", fmt::format("{} [{}]", it->second.type->name, fmt::join(it->second.shape, ", "))}});
  std::memcpy(out.data(), it->second.bytes.data(), out.size() * sizeof(float));
  return out;
}

Result<std::unique_ptr<StoredWeights>> gguf_weights(const std::shared_ptr<const GgufFile>& file,
                                                    const Json& config) {
  const std::string path = file->path().string();
  const bool hybrid = config.contains("linear_num_value_heads");
  std::map<std::string, StoredTensor, std::less<>> tensors;
  for (const auto& [gguf_name, t] : file->tensors()) {
    if (gguf_name == "rope_freqs.weight") continue;  // part of the config by now
    if (is_nvfp4_scale(*file, gguf_name)) continue;  // part of its tensor
    if (!t.type->format)
      return fail("gguf.tensor_unsupported",
                  {{"file", path}, {"tensor", gguf_name}, {"found", t.type->name}});
    StoredTensor s{
        .format = *t.type->format, .shape = t.shape, .bytes = t.bytes, .holder = file, .file = path};
    if (const int64_t heads = rotary_heads(config, gguf_name); heads > 0) {
      const int64_t rows = heads * config["head_dim"].get<int64_t>();
      if (t.shape[0] != rows)
        return fail("weights.shape",
                    {{"file", path}, {"tensor", gguf_name}, {"expected", rows}, {"found", t.shape[0]}});
      s.rotary_heads = static_cast<int>(heads);
    }
    if (t.type->format == QuantFormat::nvfp4) {
      QW_TRY(s.scales, nvfp4_scales(*file, t));
    }
    const auto restored = hybrid ? gguf_hybrid_tensor(config, gguf_name, s) : std::nullopt;
    // A tensor without a counterpart keeps its name, so that the leftover check names it.
    const auto& type = config["model_type"].get_ref<const std::string&>();
    const std::string name =
        restored ? *restored : hf_tensor_name(gguf_name, type).value_or(std::string(gguf_name));
    // One row; some converters drop the dimension.
    if (name.ends_with(".shared_expert_gate.weight") && s.shape.size() == 1)
      s.shape.insert(s.shape.begin(), 1);
    if (!tensors.emplace(name, std::move(s)).second)
      return fail("gguf.duplicate", {{"file", path}, {"name", name}});
  }
  QW_TRY(split_stacked_experts(tensors));
  return std::make_unique<StoredWeights>(path, std::move(tensors));
}

Result<std::optional<int64_t>> read_pooling_type(const GgufFile& file) {
  const GgufKeys keys(file);
  QW_TRY(const auto architecture, keys.text("general.architecture"));
  return keys.integer(fmt::format("{}.pooling_type", architecture.value_or("")));
}

Result<Checkpoint> open_gguf(const std::shared_ptr<const GgufFile>& file, bool with_weights) {
  Checkpoint c;
  c.kind = CheckpointKind::gguf;
  c.path = file->path();
  c.gguf_version = static_cast<int>(file->version());
  c.n_files = static_cast<int>(file->n_parts());
  c.total_bytes = file->total_bytes();
  const GgufValue* name = file->find("general.name");
  c.name = name && name->as_string() ? std::string(*name->as_string()) : file->path().filename().string();
  QW_TRY(c.tokenizer, read_gguf_tokenizer(file));
  if (!with_weights) {
    if (!c.tokenizer) return fail("checkpoint.no_tokenizer", {{"file", file->path().string()}});
    return c;
  }
  QW_TRY(c.config, gguf_config(*file, c.tokenizer));
  QW_TRY(c.generation, gguf_generation(*file, c.tokenizer));
  QW_TRY(c.pooling_type, read_pooling_type(*file));
  QW_TRY(auto weights, gguf_weights(file, c.config));
  c.formats = count_formats(*weights);
  c.weights = std::move(weights);
  return c;
}

void say_mtp(Json& config, const WeightSource& weights) {
  const auto type = config.find("model_type");
  if (type == config.end() || !type->is_string()) return;
  const auto& name = type->get_ref<const std::string&>();
  if (name == "qwen3_next" || name.starts_with("qwen3_5"))
    config["mtp_num_hidden_layers"] = weights.has("mtp.fc.weight") ? 1 : 0;
}

std::string folder_name(const fs::path& given) {
  std::error_code ec;
  const fs::path absolute = fs::weakly_canonical(given, ec);
  return (ec ? given : absolute).filename().string();
}

Result<Checkpoint> open_folder(const fs::path& path) {
  QW_TRY(HfFolder hf, open_hf_folder(path));
  Checkpoint c;
  c.path = hf.folder;
  c.tokenizer_folder = hf.folder;
  c.name = folder_name(path);
  c.config = std::move(hf.config);
  c.generation = std::move(hf.generation);
  QW_TRY(HfWeights weights, open_hf_weights(hf.folder, hf.quantization ? &*hf.quantization : nullptr));
  if (hf.quantization) c.quantisation = hf.quantization->summary;
  c.total_bytes = weights.total_bytes;
  c.n_files = weights.n_files;
  c.formats = count_formats(*weights.source);
  c.other_parts = std::move(weights.other_parts);
  c.config = nn::text_config(c.config);
  if (weights.bare_body) c.config["tie_word_embeddings"] = true;  // no head to ask for
  say_mtp(c.config, *weights.source);
  c.weights = std::move(weights.source);
  return c;
}

Result<Checkpoint> open_tokenizer_folder(const fs::path& path) {
  Checkpoint c;
  QW_TRY(c.path, resolve_hf_folder(path));
  c.tokenizer_folder = c.path;
  c.name = folder_name(path);
  std::error_code ec;
  for (const char* file : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "vocab.json",
                           "qwen.tiktoken", "tokenizer.model"})
    if (fs::exists(c.path / file, ec)) return c;
  return fail("checkpoint.no_tokenizer", {{"file", c.path.string()}});
}

Result<Checkpoint> open(const fs::path& path, bool with_weights) {
  std::error_code ec;
  if (!fs::exists(path, ec)) return fail("checkpoint.absent", {{"file", path.string()}});
  if (fs::is_directory(path, ec)) return with_weights ? open_folder(path) : open_tokenizer_folder(path);
  QW_TRY(const auto map, MappedFile::open(path));
  const std::span<const std::byte> bytes = map->bytes();
  constexpr std::string_view kMagic = "GGUF";
  if (std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).starts_with(kMagic)) {
    QW_TRY(const auto file, GgufFile::open(path));
    return open_gguf(file, with_weights);
  }
  return tl::unexpected(foreign_file_error(bytes, path.string()));
}

}  // namespace

Result<Checkpoint> open_checkpoint(const fs::path& path) {
  return open(path, true);
}

Result<Checkpoint> open_checkpoint(const std::shared_ptr<const GgufFile>& file) {
  return open_gguf(file, true);
}

Result<Checkpoint> open_tokenizer_files(const fs::path& path) {
  return open(path, false);
}

}  // namespace qw
