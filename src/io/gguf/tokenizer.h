// The tokenizer a GGUF file carries in its metadata, as plain views; text/ makes a tokenizer of it.
// Spec: ggml/docs/gguf.md, section "Tokenizer". Test: tests/io/gguf_config_test.cc
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/gguf/gguf.h"

namespace qw {

// Values of `types`.
enum class GgufTokenType : int32_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

// Every view lives as long as `holder`.
struct GgufTokenizer {
  std::string_view model;  // tokenizer.ggml.model: "gpt2" is byte-level BPE
  std::string_view
      pre;  // tokenizer.ggml.pre, "" where absent: "qwen2", "smollm", "llama-bpe", "gpt-2", "default"
  std::vector<std::string_view> tokens;  // by id
  std::vector<int32_t> types;            // by id, GgufTokenType; empty where absent
  std::vector<std::string_view> merges;  // "left right", best first; empty where absent
  std::optional<int32_t> bos, eos, eot, eom, unknown, padding;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  std::optional<bool> nfc;         // tokenizer.ggml.normalizer.nfc
  std::string_view chat_template;  // "" where absent
  std::vector<std::pair<std::string_view, std::string_view>> named_templates;  // ("tool_use", text)
  std::shared_ptr<const void> holder;
};

// None where the file has no tokenizer.ggml.tokens. Errors: gguf.key_missing (file, key), gguf.key_type
// (file, key, expected, found), gguf.key_value (file, key, expected, found).
Result<std::optional<GgufTokenizer>> read_gguf_tokenizer(const std::shared_ptr<const GgufFile>& file);

// The ids that end an answer: eos, eot, eom, and control tokens whose text is a known end of a turn or a text
// (one file names one eos, but chat models have several: Qwen's hub stop set is <|im_end|> and
// <|endoftext|>).
std::vector<int32_t> gguf_stop_ids(const GgufTokenizer& t);

}  // namespace qw
