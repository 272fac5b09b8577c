#include "apps/hub/model_facts.h"

#include "base/json.h"
#include "base/mmap.h"
#include "hub/select.h"
#include "io/gguf/gguf.h"
#include "io/hf/folder.h"
#include "models/model.h"

namespace qw::apps {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxConfig = size_t{16} << 20;

std::string text_at(const Json& json, const char* key) {
  if (!json.is_object()) return {};
  const auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
}

std::string short_dtype(const std::string& name) {
  if (name == "bfloat16") return "bf16";
  if (name == "float16") return "f16";
  if (name == "float32") return "f32";
  return name;
}

ModelFacts folder_facts(const fs::path& path) {
  const Result<fs::path> folder = resolve_hf_folder(path);
  const Result<std::string> text =
      folder ? read_file(*folder / "config.json", kMaxConfig) : tl::unexpected<Error>(folder.error());
  const Result<Json> json = text ? parse_json(*text, "config.json") : tl::unexpected<Error>(text.error());
  if (!json || !json->is_object()) return {};
  ModelFacts out{.architecture = text_at(*json, "model_type"), .format = {}};
  for (const char* key : {"torch_dtype", "dtype"})
    if (out.format.empty()) out.format = short_dtype(text_at(*json, key));
  if (const auto text_config = json->find("text_config"); out.format.empty() && text_config != json->end())
    out.format = short_dtype(text_at(*text_config, "dtype"));
  if (const auto quant = json->find("quantization_config"); quant != json->end())
    if (const std::string method = text_at(*quant, "quant_method"); !method.empty()) out.format = method;
  return out;
}

// The type that most of the weights have.
std::string main_type(const GgufFile& file) {
  std::map<std::string_view, size_t> bytes;
  for (const auto& [name, tensor] : file.tensors()) bytes[tensor.type->name] += tensor.bytes.size();
  std::string_view best;
  for (const auto& [type, n] : bytes)
    if (best.empty() || n > bytes[best]) best = type;
  return std::string(best);
}

}  // namespace

ModelFacts model_facts(const fs::path& model) {
  std::error_code ec;
  if (fs::is_directory(model, ec)) return folder_facts(model);
  const auto file = GgufFile::open(model);
  if (!file) return {};
  ModelFacts out;
  if (const GgufValue* value = (*file)->find("general.architecture"))
    out.architecture = value->as_string().value_or("");
  out.format = hub::quant_of(model.filename().string());
  if (out.format.empty()) out.format = main_type(**file);
  return out;
}

bool runs_architecture(const std::string& model_type) {
  const auto made = make_model(Json{{"model_type", model_type}});
  return made || made.error().code() != "model.unknown_type";
}

}  // namespace qw::apps
