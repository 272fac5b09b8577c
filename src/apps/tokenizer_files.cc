#include "apps/tokenizer_files.h"

#include <algorithm>

#include "apps/paths.h"
#include "apps/sentence_files.h"
#include "text/tokenizer_export.h"

namespace qw::apps {
namespace {

std::vector<std::string> owned(const std::vector<std::string_view>& views) {
  return {views.begin(), views.end()};
}

}  // namespace

Result<Tokenizer> checkpoint_tokenizer(const Checkpoint& checkpoint) {
  if (checkpoint.kind == CheckpointKind::hf_folder)
    return Tokenizer::from_folder(checkpoint.tokenizer_folder);
  if (!checkpoint.tokenizer) return fail("checkpoint.no_tokenizer", {{"file", checkpoint.path.string()}});
  const GgufTokenizer& t = *checkpoint.tokenizer;
  GgufTokenizerData out{.file = checkpoint.path.string(),
                        .model = std::string(t.model),
                        .pre = std::string(t.pre),
                        .tokens = owned(t.tokens),
                        .token_types = t.types,
                        .merges = owned(t.merges),
                        .named_ids = {},
                        .add_bos = t.add_bos,
                        .add_eos = t.add_eos,
                        .nfc = t.nfc,
                        .chat_templates = {}};
  const auto name = [&out](const char* token, std::optional<int32_t> id) {
    if (id) out.named_ids.emplace_back(token, *id);
  };
  name("bos_token", t.bos);
  name("eos_token", t.eos);
  name("unk_token", t.unknown);
  name("pad_token", t.padding);
  if (!t.chat_template.empty()) out.chat_templates.push_back({"default", std::string(t.chat_template)});
  for (const auto& [key, source] : t.named_templates)
    out.chat_templates.push_back({std::string(key), std::string(source)});
  return Tokenizer::from_gguf(std::move(out));
}

Result<Tokenizer> open_tokenizer(std::string_view model) {
  QW_TRY(const auto path, resolve_model(model));
  QW_TRY(const Checkpoint checkpoint, open_tokenizer_files(path));
  return checkpoint_tokenizer(checkpoint);
}

std::optional<int32_t> first_other_token(const Tokenizer& a, const Tokenizer& b) {
  for (int32_t id = 0; id < std::min(a.vocab_size(), b.vocab_size()); ++id)
    if (a.token_bytes(id) != b.token_bytes(id)) return id;
  return std::nullopt;
}

Result<std::optional<GgufTokenizer>> tokenizer_for_gguf(const Checkpoint& checkpoint) {
  if (checkpoint.kind == CheckpointKind::gguf) return checkpoint.tokenizer;
  Result<Tokenizer> tokenizer = Tokenizer::from_folder(checkpoint.tokenizer_folder);
  if (!tokenizer && tokenizer.error().code() == "text.no_tokenizer") return std::optional<GgufTokenizer>();
  if (!tokenizer) return tl::unexpected<Error>(std::move(tokenizer).error());
  QW_TRY(GgufTokenizerData exported, export_to_gguf(*tokenizer));
  const auto data = std::make_shared<const GgufTokenizerData>(std::move(exported));
  GgufTokenizer out;
  out.model = data->model;
  out.pre = data->pre;
  out.tokens.assign(data->tokens.begin(), data->tokens.end());
  out.types = data->token_types;
  out.merges.assign(data->merges.begin(), data->merges.end());
  const auto id = [&](std::string_view name) -> std::optional<int32_t> {
    for (const auto& [key, value] : data->named_ids)
      if (key == name) return value;
    return std::nullopt;
  };
  out.bos = id("bos_token");
  out.eos = id("eos_token");
  out.eot = id("eot_token");
  out.unknown = id("unk_token");
  out.padding = id("pad_token");
  if (!out.eos && !checkpoint.generation.stop_ids.empty()) out.eos = checkpoint.generation.stop_ids.front();
  // A text's end that is not the answers' end.
  const bool ends = data->add_eos.value_or(false) && !checkpoint.generation.stop_ids.empty();
  if (ends && !out.eot && checkpoint.generation.stop_ids.front() != out.eos)
    out.eot = checkpoint.generation.stop_ids.front();
  out.add_bos = data->add_bos;
  out.add_eos = data->add_eos.value_or(false);
  if (data->nfc.value_or(false)) out.nfc = true;
  for (const ChatTemplateSource& t : data->chat_templates) {
    if (t.name == "default")
      out.chat_template = t.source;
    else
      out.named_templates.emplace_back(t.name, t.source);
  }
  out.holder = data;
  return std::optional<GgufTokenizer>(std::move(out));
}

Result<std::map<std::string, std::string>> folder_files(const Checkpoint& checkpoint) {
  std::map<std::string, std::string> files;
  if (checkpoint.tokenizer) {
    QW_TRY(const Tokenizer tokenizer, checkpoint_tokenizer(checkpoint));
    QW_TRY(files, export_to_folder(tokenizer));
  }
  if (checkpoint.pooling_type)
    if (const auto pooling = ggml_pooling(*checkpoint.pooling_type))
      files.merge(sentence_files(*pooling, checkpoint.config.value("hidden_size", int64_t{0})));
  const GenerationDefaults& g = checkpoint.generation;
  Json json = Json::object();
  if (!g.stop_ids.empty()) json["eos_token_id"] = g.stop_ids;
  if (g.do_sample) json["do_sample"] = *g.do_sample;
  const auto number = [&](const char* key, const std::optional<double>& value) {
    if (value) json[key] = *value;
  };
  number("temperature", g.temperature);
  number("top_p", g.top_p);
  number("min_p", g.min_p);
  number("repetition_penalty", g.repetition_penalty);
  if (g.top_k) json["top_k"] = *g.top_k;
  if (!json.empty()) files["generation_config.json"] = json.dump(2) + "\n";
  return files;
}

}  // namespace qw::apps
