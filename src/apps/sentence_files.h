// What sentence-transformers writes beside an embedding model: modules.json, the pooling's config.json,
// sentence_bert_config.json, config_sentence_transformers.json (its 3.x to 5.x). Test:
// tests/e2e/embed_test.cc
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"

namespace qw::apps {

enum class Pooling { last, mean, first };

struct SentenceSetup {
  Pooling pooling = Pooling::last;  // Qwen3-Embedding's, where the folder says nothing
  bool normalize = true;
  std::optional<int> max_tokens;
  std::map<std::string, std::string> prompts;  // "query" → what comes before the text
  std::string default_prompt;                  // a name; "": none
};

// The folder's setup; without modules.json the one above. Errors: embed.module (args file, found),
// config.type, config.range (args file, key, …), json.*.
Result<SentenceSetup> read_sentence_setup(const std::filesystem::path& folder);

// Of A.pooling_type in a GGUF file, and back. Errors: embed.pooling (args found).
Result<Pooling> ggml_pooling(int64_t type);
int64_t ggml_pooling_type(Pooling pooling);
// Whether the folder has a modules.json: that it is an embedding model.
bool has_sentence_setup(const std::filesystem::path& folder);

// modules.json and what it names, by file name, for a model of `width` numbers a token.
std::map<std::string, std::string> sentence_files(Pooling pooling, int64_t width);

std::optional<Pooling> pooling_named(std::string_view name);  // last, mean, first

}  // namespace qw::apps
