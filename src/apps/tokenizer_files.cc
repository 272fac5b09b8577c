#include "apps/tokenizer_files.h"

#include "apps/paths.h"

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

}  // namespace qw::apps
