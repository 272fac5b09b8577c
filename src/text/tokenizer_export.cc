#include "text/tokenizer_export.h"

#include "text/tokenizer_parts.h"

namespace qw {
namespace {

// tokenizer.ggml.token_type
constexpr int32_t kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5;

}  // namespace

Result<GgufTokenizerData> export_to_gguf(const Tokenizer& tokenizer) {
  const TokenizerParts& parts = TokenizerBuilder::parts(tokenizer);
  const text::Bpe& bpe = *parts.bpe;
  const auto pre = gguf_pre_of(parts);
  if (!pre) return fail("text.no_gguf_pre");
  GgufTokenizerData out;
  out.model = "gpt2";
  out.pre = *pre;
  const auto n = static_cast<size_t>(tokenizer.vocab_size());
  out.tokens.resize(n);
  out.token_types.resize(n, kUnused);
  for (size_t i = 0; i < n; ++i) {
    const auto id = static_cast<int32_t>(i);
    out.tokens[i] = bpe.has(id) ? bpe.spelling(id) : fmt::format("[PAD{}]", id);
    if (bpe.has(id)) out.token_types[i] = kNormal;
  }
  for (const text::AddedToken& token : parts.added) {
    const auto i = static_cast<size_t>(token.id);
    out.tokens[i] = token.content;
    out.token_types[i] = token.special ? kControl : kUserDefined;
  }
  for (const auto& [left, right] : bpe.merges())
    out.merges.push_back(fmt::format("{} {}", bpe.spelling(left), bpe.spelling(right)));
  for (const auto& [name, content] : parts.named)
    if (const auto id = tokenizer.id_of(content)) out.named_ids.emplace_back(name, *id);
  if (parts.bos_id && !tokenizer.named_token("bos_token"))
    out.named_ids.emplace_back("bos_token", *parts.bos_id);
  out.add_bos = parts.adds_bos;
  out.nfc = parts.nfc;
  out.chat_templates = parts.chat_templates;
  return out;
}

}  // namespace qw
