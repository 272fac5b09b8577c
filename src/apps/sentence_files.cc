#include "apps/sentence_files.h"

#include <fmt/format.h>

#include <limits>

#include "base/json.h"
#include "base/mmap.h"

namespace qw::apps {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr const char* kModules = "modules.json";

// Errors: config.type, where the file holds something else than `type`.
Result<Json> read_json(const fs::path& file, Json::value_t type) {
  QW_TRY(const std::string text, read_file(file, kMaxBytes));
  QW_TRY(Json json, parse_json(text, file.string()));
  if (json.type() == type) return json;
  return fail("config.type", {{"file", file.string()},
                              {"key", file.filename().string()},
                              {"expected", Json(type).type_name()},
                              {"found", json.type_name()}});
}

// An absent file is an empty object.
Result<Json> read_object(const fs::path& file) {
  std::error_code ec;
  if (!fs::exists(file, ec)) return Json::object();
  return read_json(file, Json::value_t::object);
}

// The text of a module's member.
Result<std::string> text_member(const Json& module, const char* key, const fs::path& file) {
  const auto it = module.is_object() ? module.find(key) : module.end();
  if (it != module.end() && it->is_string()) return it->get<std::string>();
  return fail("embed.module", {{"file", file.string()}, {"found", to_json_line(module)}});
}

Result<std::optional<int>> read_max_tokens(const fs::path& file) {
  QW_TRY(const Json json, read_object(file));
  const auto it = json.find("max_seq_length");
  if (it == json.end() || it->is_null()) return std::optional<int>();
  constexpr auto kMost = uint64_t{std::numeric_limits<int>::max()};
  if (it->is_number_unsigned() && it->get<uint64_t>() >= 1 && it->get<uint64_t>() <= kMost)
    return std::optional(it->get<int>());
  return fail("config.range",
              {{"file", file.string()}, {"key", "max_seq_length"}, {"found", to_json_line(*it)}});
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

Result<Pooling> ggml_pooling(int64_t type) {
  // llama.cpp's numbers; 0 (every token's own) and 4 (a ranker's) give no vector of the text.
  if (type == 1) return Pooling::mean;
  if (type == 2) return Pooling::first;
  if (type == 3) return Pooling::last;
  return fail("embed.pooling", {{"found", type}});
}

int64_t ggml_pooling_type(Pooling pooling) {
  return pooling == Pooling::mean ? 1 : pooling == Pooling::first ? 2 : 3;
}

bool has_sentence_setup(const fs::path& folder) {
  std::error_code ec;
  return fs::exists(folder / kModules, ec);
}

Result<SentenceSetup> read_sentence_setup(const fs::path& folder) {
  SentenceSetup out;
  const fs::path modules_file = folder / kModules;
  if (has_sentence_setup(folder)) {
    QW_TRY(const Json modules, read_json(modules_file, Json::value_t::array));
    out.normalize = false;
    for (const Json& m : modules) {
      QW_TRY(const std::string type, text_member(m, "type", modules_file));
      const std::string kind = type.substr(type.rfind('.') + 1);
      if (kind == "Pooling") {
        QW_TRY(const std::string path, text_member(m, "path", modules_file));
        QW_TRY(read_pooling(folder / path / "config.json", out));
      } else if (kind == "Normalize") {
        out.normalize = true;
      } else if (kind != "Transformer") {
        return fail("embed.module", {{"file", modules_file.string()}, {"found", type}});
      }
    }
  }
  QW_TRY(out.max_tokens, read_max_tokens(folder / "sentence_bert_config.json"));
  QW_TRY(const Json config, read_object(folder / "config_sentence_transformers.json"));
  if (const auto it = config.find("prompts"); it != config.end() && it->is_object())
    for (const auto& [name, text] : it->items())
      if (text.is_string()) out.prompts[name] = text.get<std::string>();
  if (const auto it = config.find("default_prompt_name"); it != config.end() && it->is_string())
    out.default_prompt = it->get<std::string>();
  return out;
}

std::map<std::string, std::string> sentence_files(Pooling pooling, int64_t width) {
  Json modules = Json::array();
  const auto add = [&](const char* path, const char* kind) {
    const std::string place = std::to_string(modules.size());
    modules.push_back({{"idx", modules.size()},
                       {"name", place},
                       {"path", path},
                       {"type", fmt::format("sentence_transformers.models.{}", kind)}});
  };
  add("", "Transformer");
  add("1_Pooling", "Pooling");
  add("2_Normalize", "Normalize");
  const Json settings{{"word_embedding_dimension", width},
                      {"pooling_mode_cls_token", pooling == Pooling::first},
                      {"pooling_mode_mean_tokens", pooling == Pooling::mean},
                      {"pooling_mode_lasttoken", pooling == Pooling::last},
                      {"include_prompt", true}};
  return {{kModules, modules.dump(2) + "\n"}, {"1_Pooling/config.json", settings.dump(2) + "\n"}};
}

}  // namespace qw::apps
