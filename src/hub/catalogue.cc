#include "hub/catalogue.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/json.h"

namespace qw::hub {
namespace {

constexpr std::string_view kJson =
#include "catalogue_json.inc"
    ;

// Bits a weight in the files that publishers make: q8_0 is 8.5, q4_k_m is a mixture (Qwen3-30B-A3B: 18.6 GB).
constexpr double kBitsQ8 = 8.5, kBitsQ4 = 4.9;

std::string lower(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

int64_t bytes_at(int64_t parameters, double bits) {
  return static_cast<int64_t>(static_cast<double>(parameters) * bits / 8);
}

CatalogueModel model_of(const Json& json) {
  CatalogueModel out;
  const auto text = [&json](const char* key) { return json.value(key, std::string()); };
  out.name = text("name");
  out.repo = text("repo");
  out.gguf = text("gguf");
  out.quant = text("quant");
  out.licence = text("licence");
  out.architecture = text("architecture");
  out.template_name = text("template");
  out.kind = text("kind");
  out.parameters = json.at("parameters").get<int64_t>();
  out.active = json.value("active", out.parameters);
  out.context = json.value("context", int64_t{0});
  if (const auto kv = json.find("kv"); kv != json.end()) {
    const auto n = kv->get<std::array<int64_t, 3>>();  // layers, heads, head_dim
    out.kv_bytes_per_token = 2 * n[0] * n[1] * n[2] * 2;
  }
  return out;
}

struct Choice {
  const CatalogueModel* model = nullptr;
  std::string format = {};  // "" where none is named
};

// A name with or without a format behind it.
Choice choose(const Catalogue& catalogue, std::string_view text) {
  const std::string name = lower(text);
  if (const CatalogueModel* model = catalogue.find(name)) return {model};
  const size_t dash = name.rfind('-');
  if (dash == name.npos) return {};
  const std::string format = name.substr(dash + 1);
  const CatalogueModel* model = catalogue.find(name.substr(0, dash));
  const bool quantised = format.size() > 2 && (format[0] == 'q' || format.starts_with("iq"));
  if (model == nullptr || (format != "bf16" && (!quantised || model->gguf.empty()))) return {};
  return {model, format};
}

}  // namespace

int64_t CatalogueModel::bytes_4() const {
  return bytes_at(parameters, kBitsQ4);
}

int64_t CatalogueModel::download_bytes() const {
  if (gguf.empty()) return bytes_16();
  return quant == "Q8_0" ? bytes_at(parameters, kBitsQ8) : bytes_4();
}

const CatalogueModel* Catalogue::find(std::string_view name) const {
  for (const CatalogueModel& m : models)
    if (m.name == name) return &m;
  return nullptr;
}

std::optional<ModelName> Catalogue::pull_name(std::string_view text) const {
  const Choice choice = choose(*this, text);
  if (choice.model == nullptr) return std::nullopt;
  const CatalogueModel& m = *choice.model;
  const bool folder = choice.format == "bf16" || m.gguf.empty();
  Result<ModelName> name = parse_name(folder ? m.repo : m.gguf);
  QW_CHECK(name.has_value(), "{}", m.name);  // a test holds it for every row
  if (!folder) name->quant = choice.format.empty() ? m.quant : choice.format;
  return *std::move(name);
}

std::vector<std::string> Catalogue::stored_names(std::string_view text) const {
  const Choice choice = choose(*this, text);
  if (choice.model == nullptr) return {};
  const CatalogueModel& m = *choice.model;
  if (choice.format == "bf16") return {m.repo};
  if (!choice.format.empty()) return {m.gguf + ":" + choice.format};
  if (m.gguf.empty()) return {m.repo};
  return {m.gguf + ":" + m.quant, m.gguf, m.repo};
}

std::string Catalogue::family_of(std::string_view text) const {
  const std::string name = lower(text);
  const std::string family = name.substr(0, name.find(':')) + ":";
  std::string out;
  for (const CatalogueModel& m : models)
    if (m.name.starts_with(family)) out += (out.empty() ? "" : ", ") + m.name;
  return out;
}

Catalogue load_catalogue() {
  const Result<Json> json = parse_json(kJson, "catalogue.json");
  QW_CHECK(json.has_value());
  Catalogue out{.date = json->value("date", ""), .source = json->value("source", ""), .models = {}};
  for (const Json& m : json->at("models")) out.models.push_back(model_of(m));
  return out;
}

}  // namespace qw::hub
