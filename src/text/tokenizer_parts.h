// What the loaders of a tokenizer hand over, and the inside of Tokenizer. Not for use outside src/text.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/pretokenizer.h"
#include "text/tokenizer.h"

namespace qw {

struct TokenizerParts {
  std::optional<text::Bpe> bpe;  // always set once loaded
  std::vector<text::SplitStep> steps;
  bool nfc = false;
  std::vector<text::AddedToken> added;
  std::vector<std::pair<std::string, std::string>> named;
  std::vector<ChatTemplateSource> chat_templates;
  std::optional<int32_t> bos_id;  // where it is known otherwise than by the name bos_token
  bool adds_bos = false;
  std::optional<int32_t> end_id;  // that ends a text by the model's own rule (embedding models)
};

// tokenizer.json; `file` only names the source in errors.
Result<TokenizerParts> parse_tokenizer_json(std::string_view json, const std::string& file);
Result<TokenizerParts> load_tokenizer_json(const std::filesystem::path& file);
// vocab.json and merges.txt.
Result<TokenizerParts> load_vocab_and_merges(const std::filesystem::path& folder,
                                             const struct TokenizerConfig& config);

// The rule by which HF `tokenizers` numbers added tokens: a token of the vocabulary keeps its id, the others
// follow behind all ids given so far. Of two tokens with one content the later counts. Errors: text.bad_id
// (file, token, id).
Status number_added_tokens(std::string_view file, const text::Bpe& bpe, std::vector<text::AddedToken>& added);

// The name of tokenizer.ggml.pre for a pre-tokenizer; none where llama.cpp has no such one.
std::optional<std::string_view> gguf_pre_of(const TokenizerParts& parts);

// Adds `more` tokens that `added` does not have yet.
void add_missing(std::vector<text::AddedToken>& added, const std::vector<text::AddedToken>& more);

// tokenizer_config.json and the files that go with it.
struct TokenizerConfig {
  std::string tokenizer_class;
  std::vector<std::pair<std::string, std::string>> named;
  std::vector<text::AddedToken> added;  // added_tokens_decoder, in the order of ids
  std::vector<std::string> extra_special;
  std::vector<ChatTemplateSource> chat_templates;
  bool add_bos_token = false;
  bool add_prefix_space = false;
};
Result<TokenizerConfig> load_tokenizer_config(const std::filesystem::path& folder);

// qwen.tiktoken of the original Qwen; `file` only names the source in errors. Errors: text.bad_rank (args
// file, line), text.merge_unknown (file, index, token), text.bad_id.
Result<TokenizerParts> parse_tiktoken(std::string_view content, const std::string& file);
// The same from its folder; adds to `config` what that family's code has and its files do not say.
Result<TokenizerParts> load_tiktoken(const std::filesystem::path& folder, TokenizerConfig& config);

struct TokenizerBuilder {
  static Tokenizer build(TokenizerParts parts);
  static const TokenizerParts& parts(const Tokenizer& tokenizer);
};

}  // namespace qw
