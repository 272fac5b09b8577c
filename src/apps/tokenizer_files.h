// The tokenizer that MODEL carries: no weights are needed, and for a folder no config.json.
// Test: tests/e2e/tokenize_test.cc, tests/apps/tokenizer_files_test.cc
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "io/checkpoint.h"
#include "text/tokenizer.h"

namespace qw::apps {

Result<Tokenizer> open_tokenizer(std::string_view model);

// The tokenizer of an opened checkpoint. Errors: checkpoint.no_tokenizer (args file), text.*.
Result<Tokenizer> checkpoint_tokenizer(const Checkpoint& checkpoint);

// The first id that means other bytes to the two; none where they agree as far as both have ids.
std::optional<int32_t> first_other_token(const Tokenizer& a, const Tokenizer& b);

// The other way: the tokenizer of a checkpoint as a GGUF file carries it; none where the checkpoint has none.
// Errors: text.*.
Result<std::optional<GgufTokenizer>> tokenizer_for_gguf(const Checkpoint& checkpoint);

// What a Hugging Face folder made of a GGUF file needs beside config and weights, by name: tokenizer.json and
// tokenizer_config.json, where the file carries a tokenizer, and generation_config.json. Errors: text.*.
Result<std::map<std::string, std::string>> folder_files(const Checkpoint& checkpoint);

}  // namespace qw::apps
