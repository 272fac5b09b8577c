#include "apps/chat/splice.h"

namespace qw::chat {

SplicedPrompt splice_prompt(const Tokenizer& tokenizer, std::span<const int32_t> known,
                            std::string_view rendered) {
  struct Seam {
    size_t ids = 0;
    size_t bytes = 0;
  };
  Seam matched, safe;
  for (const int32_t id : known) {
    const std::string_view bytes = tokenizer.token_bytes(id);
    if (bytes.empty() || !rendered.substr(matched.bytes).starts_with(bytes)) break;
    matched.bytes += bytes.size();
    ++matched.ids;
    if (tokenizer.is_special(id)) safe = matched;
  }
  std::vector<int32_t> rest = tokenizer.encode(rendered.substr(matched.bytes));
  const bool seam_holds = matched.ids == safe.ids || (!rest.empty() && tokenizer.is_special(rest.front()));
  if (!seam_holds) {
    matched = safe;
    rest = tokenizer.encode(rendered.substr(safe.bytes));
  }
  SplicedPrompt out{{known.begin(), known.begin() + static_cast<std::ptrdiff_t>(matched.ids)}, matched.ids};
  out.ids.insert(out.ids.end(), rest.begin(), rest.end());
  return out;
}

}  // namespace qw::chat
