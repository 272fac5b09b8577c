// The part of a Hugging Face folder's tokenizer files that chat templates need, without the vocabulary: a
// folder with only tokenizer_config.json or chat_template.jinja will do. Test: tests/e2e/render_test.cc
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace qw {

struct TemplateFiles {
  std::vector<std::pair<std::string, std::string>> named_tokens;  // as Tokenizer::named_tokens()
  std::vector<ChatTemplateSource> chat_templates;                 // as Tokenizer::chat_templates()
};

// Errors: text.json (file, key, expected), json.*, file.*.
Result<TemplateFiles> read_template_files(const std::filesystem::path& folder);

}  // namespace qw
