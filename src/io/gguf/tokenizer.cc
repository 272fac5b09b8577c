#include "io/gguf/tokenizer.h"

#include <algorithm>
#include <array>
#include <limits>

#include "io/gguf/keys.h"

namespace qw {
namespace {

// Ends of turns and texts of the llama and qwen families, as their hub stop sets have them.
constexpr std::array<std::string_view, 5> kEnds{"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>",
                                                "<|end_of_text|>"};

Status read_id(const GgufKeys& keys, std::string_view key, size_t n_tokens, std::optional<int32_t>& out) {
  QW_TRY(const auto id, keys.integer(key));
  if (!id) return {};
  // Converters write 2^32 - 1 (or -1) for "none".
  if (*id == -1 || *id == std::numeric_limits<uint32_t>::max()) return {};
  if (*id < 0 || static_cast<uint64_t>(*id) >= n_tokens || *id > std::numeric_limits<int32_t>::max())
    return keys.bad_value(key, {"expected", fmt::format("0..{}", n_tokens - 1)}, {"found", *id});
  out = static_cast<int32_t>(*id);
  return {};
}

Status read_types(const GgufKeys& keys, GgufTokenizer& t) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  QW_TRY(const auto types, keys.integers(kKey));
  if (types.empty()) return {};
  if (types.size() != t.tokens.size())
    return keys.bad_value(kKey, {"expected", t.tokens.size()}, {"found", types.size()});
  t.types.reserve(types.size());
  for (const int64_t type : types) {
    if (type < 0 || type > static_cast<int64_t>(GgufTokenType::byte))
      return keys.bad_value(kKey, {"expected", "0..6"}, {"found", type});
    t.types.push_back(static_cast<int32_t>(type));
  }
  return {};
}

Status read_templates(const GgufFile& file, const GgufKeys& keys, GgufTokenizer& t) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  QW_TRY(const auto main, keys.text(kKey));
  t.chat_template = main.value_or("");
  for (const auto& [key, value] : file.metadata()) {
    if (!key.starts_with("tokenizer.chat_template.")) continue;
    QW_TRY(const auto text, keys.text(key));
    t.named_templates.emplace_back(key.substr(kKey.size() + 1), *text);
  }
  return {};
}

}  // namespace

Result<std::optional<GgufTokenizer>> read_gguf_tokenizer(const std::shared_ptr<const GgufFile>& file) {
  const GgufKeys keys(*file);
  GgufTokenizer t;
  t.holder = file;
  QW_TRY(t.tokens, keys.texts("tokenizer.ggml.tokens"));
  if (t.tokens.empty()) return std::optional<GgufTokenizer>();
  QW_TRY(const auto model, keys.text("tokenizer.ggml.model"));
  if (!model) return keys.missing("tokenizer.ggml.model");
  t.model = *model;
  QW_TRY(const auto pre, keys.text("tokenizer.ggml.pre"));
  t.pre = pre.value_or("");
  QW_TRY(t.merges, keys.texts("tokenizer.ggml.merges"));
  QW_TRY(read_types(keys, t));
  const size_t n = t.tokens.size();
  QW_TRY(read_id(keys, "tokenizer.ggml.bos_token_id", n, t.bos));
  QW_TRY(read_id(keys, "tokenizer.ggml.eos_token_id", n, t.eos));
  QW_TRY(read_id(keys, "tokenizer.ggml.eot_token_id", n, t.eot));
  QW_TRY(read_id(keys, "tokenizer.ggml.eom_token_id", n, t.eom));
  QW_TRY(read_id(keys, "tokenizer.ggml.unknown_token_id", n, t.unknown));
  QW_TRY(read_id(keys, "tokenizer.ggml.padding_token_id", n, t.padding));
  QW_TRY(t.add_bos, keys.flag("tokenizer.ggml.add_bos_token"));
  QW_TRY(t.add_eos, keys.flag("tokenizer.ggml.add_eos_token"));
  QW_TRY(t.add_space_prefix, keys.flag("tokenizer.ggml.add_space_prefix"));
  QW_TRY(t.nfc, keys.flag("tokenizer.ggml.normalizer.nfc"));
  QW_TRY(read_templates(*file, keys, t));
  return std::optional<GgufTokenizer>(std::move(t));
}

std::vector<int32_t> gguf_stop_ids(const GgufTokenizer& t) {
  std::vector<int32_t> ids;
  for (const std::optional<int32_t>& id : {t.eos, t.eot, t.eom})
    if (id) ids.push_back(*id);
  for (size_t i = 0; i < t.types.size(); ++i)
    if (t.types[i] == static_cast<int32_t>(GgufTokenType::control) &&
        std::find(kEnds.begin(), kEnds.end(), t.tokens[i]) != kEnds.end())
      ids.push_back(static_cast<int32_t>(i));
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace qw
