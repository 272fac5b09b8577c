// Tokenizer: bytes to token ids and back, exactly as HF `tokenizers` 0.23 for the same tokenizer.json
// (byte-level BPE), and the same for the form that GGUF files carry. Immutable after loading: every const
// member may be called from many threads. Test: tests/text/golden_test.cc, tests/text/tokenizer_test.cc,
// tests/text/qwen3_test.cc
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace qw {

struct EncodeOptions {
  bool parse_special =
      true;  // "<|im_end|>" in the text is that token; else it is text. Added tokens that are not special
             // ("<think>" of Qwen3) are found either way, as in the reference.
  bool add_bos = false;  // the BOS id first, where the model has one; whether it should be there: adds_bos()
};

// A chat template as found beside the tokenizer.
struct ChatTemplateSource {
  std::string name;  // "default", "tool_use", …
  std::string source;
};

// The tokenizer of a GGUF file as its metadata give it (keys tokenizer.ggml.*, tokenizer.chat_template*); the
// apps fill it.
struct GgufTokenizerData {
  std::string file;                  // for errors
  std::string model;                 // tokenizer.ggml.model
  std::string pre;                   // tokenizer.ggml.pre; "" where the file has none (means default)
  std::vector<std::string> tokens;   // tokenizer.ggml.tokens
  std::vector<int32_t> token_types;  // tokenizer.ggml.token_type; empty where the file has none (all normal)
  std::vector<std::string> merges;   // tokenizer.ggml.merges
  // Ids of tokenizer.ggml.bos_token_id and so on, under the names of tokenizer_config.json: {"bos_token", 1}.
  // Known here: bos_token, eos_token, unk_token, sep_token (GGUF: seperator or separator), pad_token,
  // mask_token, cls_token.
  std::vector<std::pair<std::string, int32_t>> named_ids;
  std::optional<bool> add_bos;  // tokenizer.ggml.add_bos_token
  std::optional<bool> add_eos;  // tokenizer.ggml.add_eos_token
  std::optional<bool> nfc;      // tokenizer.ggml.normalizer.nfc
  std::vector<ChatTemplateSource> chat_templates;
};

class Tokenizer {
 public:
  // From a Hugging Face folder (needs no weights): tokenizer.json, or vocab.json and merges.txt where that is
  // absent, or qwen.tiktoken; and tokenizer_config.json, special_tokens_map.json, chat_template.jinja, where
  // present. Errors: text.no_tokenizer (args folder); text.json (file, key, expected); text.unsupported
  // (file, key, value); text.unknown_regex (file, regex); text.bad_id (file, token, id); text.merge_unknown
  // (file, index, token); text.bad_merge, text.bad_rank (file, line); text.no_bos (file); json.parse,
  // json.too_deep, file.open.
  static Result<Tokenizer> from_folder(const std::filesystem::path& folder);

  // Errors: text.gguf_model (file, model); text.gguf_pre (file, pre); text.gguf_count (file, key, expected,
  // found); text.gguf_named_id (file, key, id); text.no_bos (file); and as above. Tokens and merges are taken
  // over.
  static Result<Tokenizer> from_gguf(GgufTokenizerData gguf);

  // Any bytes; what is no UTF-8 becomes U+FFFD first, as Rust's String::from_utf8_lossy does it.
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;

  // Valid UTF-8. Ids without a token give nothing; bytes that are no UTF-8 give U+FFFD, as from_utf8_lossy.
  std::string decode(std::span<const int32_t> ids, bool skip_special) const;

  // The bytes that the id adds to a text, perhaps a part of a character; empty where the id has no token.
  std::string_view token_bytes(int32_t id) const;
  // The same as valid UTF-8.
  std::string token_text(int32_t id) const;
  // True for tokens that are no part of the text a person reads.
  bool is_special(int32_t id) const;
  bool has_token(int32_t id) const;
  // All ids are below this. Models may have more rows (padding), which have no token.
  int32_t vocab_size() const;

  // The id of a token as the vocabulary spells it ("<|im_end|>", "Ġthe").
  std::optional<int32_t> id_of(std::string_view spelling) const;

  // Whether a text that the model continues begins with the BOS token by the model's own rule. True only with
  // a bos_id().
  bool adds_bos() const;
  std::optional<int32_t> bos_id() const;
  // The token that ends a text by the model's own rule, as embedding models have one. encode() never adds it.
  std::optional<int32_t> end_id() const;
  std::optional<int32_t> eos_id() const;
  std::optional<int32_t> pad_id() const;

  // {"bos_token", "<s>"} and so on, as tokenizer_config.json or the GGUF names them; for chat templates.
  const std::vector<std::pair<std::string, std::string>>& named_tokens() const;
  // The content of named token `name`; none where it is absent or null.
  std::optional<std::string> named_token(std::string_view name) const;

  // In the order of the file; empty where the model has none.
  const std::vector<ChatTemplateSource>& chat_templates() const;

 private:
  struct Impl;
  friend struct TokenizerBuilder;
  explicit Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<const Impl> impl_;
};

}  // namespace qw
