#include "text/tokenizer.h"

#include <algorithm>

#include "text/byte_alphabet.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace qw {

using text::AddedToken;
using text::TokenFinder;

struct Tokenizer::Impl {
  explicit Impl(TokenizerParts p)
      : parts(std::move(p)),
        pre(parts.steps),
        raw_finder(patterns(false)),
        normalized_finder(patterns(true)) {
    for (size_t i = 0; i < parts.added.size(); ++i) {
      const auto id = static_cast<size_t>(parts.added[i].id);
      if (added_at.size() <= id) added_at.resize(id + 1, -1);
      added_at[id] = static_cast<int32_t>(i);
      const std::string content = pattern(parts.added[i]);
      added_bytes.push_back(text::bytes_of_spelling(content).value_or(content));
    }
  }

  // What an added token is looked for as, and decoded to.
  std::string pattern(const AddedToken& token) const {
    return token.normalized && parts.nfc ? text::nfc(token.content) : token.content;
  }

  std::vector<std::pair<std::string, const AddedToken*>> patterns(bool normalized) const {
    std::vector<std::pair<std::string, const AddedToken*>> out;
    for (const AddedToken& token : parts.added) {
      if (token.normalized == normalized) out.emplace_back(pattern(token), &token);
    }
    return out;
  }

  const AddedToken* added(int32_t id) const {
    if (id < 0 || static_cast<size_t>(id) >= added_at.size()) return nullptr;
    const int32_t at = added_at[static_cast<size_t>(id)];
    return at < 0 ? nullptr : &parts.added[static_cast<size_t>(at)];
  }

  std::string_view bytes(int32_t id) const {
    const AddedToken* token = added(id);
    if (token == nullptr) return parts.bpe->bytes(id);
    return added_bytes[static_cast<size_t>(token - parts.added.data())];
  }

  // A part of the text that holds no token of raw_finder.
  void encode_part(std::string_view part, bool parse_special, text::Bpe::Cache& cache,
                   std::vector<int32_t>& out) const {
    std::string normalized;
    if (parts.nfc && !text::is_nfc_quick(part)) {
      normalized = text::nfc(part);
      part = normalized;
    }
    const auto word = [&](std::string_view w) { parts.bpe->encode_word(w, &cache, out); };
    const auto words = [&](std::string_view rest) { pre.for_each(rest, word); };
    normalized_finder.split(part, parse_special, words, [&](int32_t id) { out.push_back(id); });
  }

  TokenizerParts parts;
  text::PreTokenizer pre;
  TokenFinder raw_finder;
  TokenFinder normalized_finder;
  std::vector<int32_t> added_at;         // index into parts.added of an id, -1 for none
  std::vector<std::string> added_bytes;  // beside parts.added
};

Tokenizer TokenizerBuilder::build(TokenizerParts parts) {
  return Tokenizer(std::make_shared<const Tokenizer::Impl>(std::move(parts)));
}

const TokenizerParts& TokenizerBuilder::parts(const Tokenizer& tokenizer) {
  return tokenizer.impl_->parts;
}

Result<Tokenizer> Tokenizer::from_folder(const std::filesystem::path& folder) {
  QW_TRY(TokenizerConfig config, load_tokenizer_config(folder));
  std::error_code ignored;
  const std::filesystem::path json = folder / "tokenizer.json";
  const auto has = [&](const char* name) { return std::filesystem::exists(folder / name, ignored); };
  const bool vocab = has("vocab.json") && has("merges.txt");
  const bool tiktoken = !has("tokenizer.json") && !vocab && has("qwen.tiktoken");
  if (!has("tokenizer.json") && !vocab && !tiktoken) {
    for (const char* name : {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}) {
      if (!has(name)) continue;
      return fail("text.unsupported",
                  {{"file", folder.string()}, {"key", name}, {"value", "(SentencePiece)"}});
    }
    return fail("text.no_tokenizer", {{"folder", folder.string()}});
  }
  QW_TRY(TokenizerParts parts, has("tokenizer.json") ? load_tokenizer_json(json)
                               : tiktoken            ? load_tiktoken(folder, config)
                                                     : load_vocab_and_merges(folder, config));
  for (const auto& [name, content] : config.named)
    config.added.push_back({.content = content, .special = true});
  for (const std::string& content : config.extra_special)
    config.added.push_back({.content = content, .special = true});
  add_missing(parts.added, config.added);
  QW_TRY(number_added_tokens(json.string(), *parts.bpe, parts.added));
  parts.named = std::move(config.named);
  parts.chat_templates = std::move(config.chat_templates);
  Tokenizer tokenizer = TokenizerBuilder::build(std::move(parts));
  const TokenizerParts& loaded = tokenizer.impl_->parts;
  if (loaded.adds_bos && !tokenizer.bos_id()) return fail("text.no_bos", {{"file", json.string()}});
  for (const std::optional<int32_t>& id : {loaded.bos_id, loaded.end_id})
    if (id && !tokenizer.has_token(*id))
      return fail("text.bad_id", {{"file", json.string()}, {"token", "post_processor"}, {"id", *id}});
  return tokenizer;
}

std::vector<int32_t> Tokenizer::encode(std::string_view bytes, EncodeOptions options) const {
  std::string lossy;
  if (!text::utf8_valid(bytes)) {
    lossy = text::utf8_lossy(bytes);
    bytes = lossy;
  }
  std::vector<int32_t> out;
  out.reserve(bytes.size() / 3 + 4);
  if (options.add_bos && bos_id()) out.push_back(*bos_id());
  text::Bpe::Cache cache(bytes.size());
  const auto part = [&](std::string_view p) { impl_->encode_part(p, options.parse_special, cache, out); };
  impl_->raw_finder.split(bytes, options.parse_special, part, [&](int32_t id) { out.push_back(id); });
  return out;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string out;
  for (const int32_t id : ids) {
    if (!(skip_special && is_special(id))) out += impl_->bytes(id);
  }
  return text::utf8_valid(out) ? out : text::utf8_lossy(out);
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  return impl_->bytes(id);
}

std::string Tokenizer::token_text(int32_t id) const {
  return text::utf8_lossy(impl_->bytes(id));
}

bool Tokenizer::is_special(int32_t id) const {
  const AddedToken* token = impl_->added(id);
  return token != nullptr && token->special;
}

bool Tokenizer::has_token(int32_t id) const {
  return impl_->added(id) != nullptr || impl_->parts.bpe->has(id);
}

int32_t Tokenizer::vocab_size() const {
  return std::max(impl_->parts.bpe->end_id(), static_cast<int32_t>(impl_->added_at.size()));
}

std::optional<int32_t> Tokenizer::id_of(std::string_view spelling) const {
  for (const AddedToken& token : impl_->parts.added) {
    if (token.content == spelling) return token.id;
  }
  return impl_->parts.bpe->id_of_spelling(spelling);
}

bool Tokenizer::adds_bos() const {
  return impl_->parts.adds_bos;
}

std::optional<int32_t> Tokenizer::bos_id() const {
  if (impl_->parts.bos_id) return impl_->parts.bos_id;
  const std::optional<std::string> name = named_token("bos_token");
  return name ? id_of(*name) : std::nullopt;
}

std::optional<int32_t> Tokenizer::end_id() const {
  return impl_->parts.end_id;
}

std::optional<int32_t> Tokenizer::eos_id() const {
  const std::optional<std::string> name = named_token("eos_token");
  return name ? id_of(*name) : std::nullopt;
}

std::optional<int32_t> Tokenizer::pad_id() const {
  const std::optional<std::string> name = named_token("pad_token");
  return name ? id_of(*name) : std::nullopt;
}

const std::vector<std::pair<std::string, std::string>>& Tokenizer::named_tokens() const {
  return impl_->parts.named;
}

std::optional<std::string> Tokenizer::named_token(std::string_view name) const {
  for (const auto& [key, content] : impl_->parts.named) {
    if (key == name) return content;
  }
  return std::nullopt;
}

const std::vector<ChatTemplateSource>& Tokenizer::chat_templates() const {
  return impl_->parts.chat_templates;
}

}  // namespace qw
