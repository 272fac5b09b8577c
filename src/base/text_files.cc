#include "base/text_files.h"

#include <algorithm>
#include <array>

namespace qw {
namespace {

constexpr auto kNames = std::to_array<std::string_view>({
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "qwen.tiktoken",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    "1_LogitScore/config.json",
});

bool starts_with_in_any_case(std::string_view text, std::string_view upper) {
  return text.size() >= upper.size() &&
         std::equal(upper.begin(), upper.end(), text.begin(), [](char u, char c) {
           return u == (c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c);
         });
}

}  // namespace

bool is_licence_file(std::string_view path) {
  return path.find('/') == path.npos &&
         (starts_with_in_any_case(path, "LICENSE") || starts_with_in_any_case(path, "NOTICE"));
}

bool is_text_file(std::string_view path) {
  return std::find(kNames.begin(), kNames.end(), path) != kNames.end() || is_licence_file(path) ||
         (path.starts_with("additional_chat_templates/") && path.ends_with(".jinja"));
}

}  // namespace qw
