#include "text/template_files.h"

#include "text/tokenizer_parts.h"

namespace qw {

Result<TemplateFiles> read_template_files(const std::filesystem::path& folder) {
  QW_TRY(TokenizerConfig config, load_tokenizer_config(folder));
  return TemplateFiles{std::move(config.named), std::move(config.chat_templates)};
}

}  // namespace qw
