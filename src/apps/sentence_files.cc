#include "apps/sentence_files.h"

#include "base/json.h"
#include "base/mmap.h"

namespace qw::apps {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxBytes = size_t{1} << 20;

// An absent file is an empty object.
Result<Json> read_object(const fs::path& file) {
  std::error_code ec;
  if (!fs::exists(file, ec)) return Json::object();
  QW_TRY(const std::string text, read_file(file, kMaxBytes));
  QW_TRY(Json json, parse_json(text, file.string()));
  return json;
}

Status read_pooling(const fs::path& file, SentenceSetup& out) {
  QW_TRY(const Json json, read_object(file));
  int modes = 0;
  for (const auto& [key, value] : json.items()) {
    if (!key.starts_with("pooling_mode_") || value != true) continue;
    ++modes;
    if (key == "pooling_mode_lasttoken") {
      out.pooling = Pooling::last;
    } else if (key == "pooling_mode_mean_tokens") {
      out.pooling = Pooling::mean;
    } else if (key == "pooling_mode_cls_token") {
      out.pooling = Pooling::first;
    } else {
      return fail("embed.module", {{"file", file.string()}, {"found", key}});
    }
  }
  if (modes != 1) return fail("embed.module", {{"file", file.string()}, {"found", modes}});
  if (json.value("include_prompt", Json(true)) != true)
    return fail("embed.module", {{"file", file.string()}, {"found", "include_prompt"}});
  return {};
}

}  // namespace

std::optional<Pooling> pooling_named(std::string_view name) {
  if (name == "last") return Pooling::last;
  if (name == "mean") return Pooling::mean;
  if (name == "first") return Pooling::first;
  return std::nullopt;
}

Result<SentenceSetup> read_sentence_setup(const fs::path& folder) {
  SentenceSetup out;
  std::error_code ec;
  const fs::path modules_file = folder / "modules.json";
  if (fs::exists(modules_file, ec)) {
    QW_TRY(const Json modules, read_object(modules_file));
    out.normalize = false;
    for (const Json& m : modules) {
      const std::string type = m.is_object() ? m.value("type", "") : "";
      const std::string kind = type.substr(type.rfind('.') + 1);
      if (kind == "Pooling") {
        QW_TRY(read_pooling(folder / m.value("path", "") / "config.json", out));
      } else if (kind == "Normalize") {
        out.normalize = true;
      } else if (kind != "Transformer") {
        return fail("embed.module", {{"file", modules_file.string()}, {"found", type}});
      }
    }
  }
  QW_TRY(const Json bert, read_object(folder / "sentence_bert_config.json"));
  if (bert.is_object() && bert.contains("max_seq_length") && bert["max_seq_length"].is_number_unsigned())
    out.max_tokens = bert["max_seq_length"].get<int>();
  QW_TRY(const Json config, read_object(folder / "config_sentence_transformers.json"));
  if (!config.is_object()) return out;
  if (const auto it = config.find("prompts"); it != config.end() && it->is_object())
    for (const auto& [name, text] : it->items())
      if (text.is_string()) out.prompts[name] = text.get<std::string>();
  if (const auto it = config.find("default_prompt_name"); it != config.end() && it->is_string())
    out.default_prompt = it->get<std::string>();
  return out;
}

}  // namespace qw::apps
