// The tokenizer of a GGUF file. What a pre-tokenizer name means is src/llama-vocab.cpp of llama.cpp; the
// words are cut by the rules of HF `tokenizers`, which that program follows but for a few characters that its
// tables class otherwise.
#include <algorithm>
#include <array>

#include "text/tokenizer_parts.h"
#include "text/utf8.h"

namespace qw {
namespace {

using text::AddedToken;
using text::SplitRule;
using text::SplitStep;

// tokenizer.ggml.token_type
enum TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct Pre {
  std::string_view name;
  std::vector<SplitStep> steps;
  bool ignore_merges = false;
  bool add_bos = false;  // where the file does not say
  bool nfc = false;      // likewise
};

std::vector<Pre> known_pres() {
  const SplitStep gpt2{SplitRule::gpt2};
  const SplitStep llama3{SplitRule::llama3};
  const SplitStep qwen2{SplitRule::qwen2};
  const std::vector<SplitStep> fallback = {
      {SplitRule::punct_runs}, gpt2, {SplitRule::number_runs}, {SplitRule::three_digits}};
  return {
      {.name = "qwen2", .steps = {qwen2}, .nfc = true},
      {.name = "deepseek-r1-qwen", .steps = {qwen2}, .nfc = true},
      {.name = "qwen35", .steps = {{SplitRule::qwen35}}, .nfc = true},
      {.name = "smollm", .steps = {{SplitRule::digits_each}, gpt2}},
      {.name = "llama-bpe", .steps = {llama3}, .ignore_merges = true, .add_bos = true},
      {.name = "llama3", .steps = {llama3}, .ignore_merges = true, .add_bos = true},
      {.name = "llama-v3", .steps = {llama3}, .ignore_merges = true, .add_bos = true},
      {.name = "gpt-2", .steps = {gpt2}},
      {.name = "default", .steps = fallback},
      {.name = "", .steps = fallback},
  };
}

Result<Pre> find_pre(const GgufTokenizerData& gguf) {
  for (Pre& pre : known_pres()) {
    if (pre.name == gguf.pre) return std::move(pre);
  }
  return fail("text.gguf_pre", {{"file", gguf.file}, {"pre", gguf.pre}});
}

// The vocabulary, and the tokens that are looked for whole. Unused tokens are padding: no token at all.
Status read_tokens(const GgufTokenizerData& gguf, text::BpeSpec& spec, std::vector<AddedToken>& added) {
  if (gguf.tokens.empty() || gguf.tokens.size() > size_t{text::kMaxTokenId}) {
    return fail("text.gguf_count", {{"file", gguf.file},
                                    {"key", "tokenizer.ggml.tokens"},
                                    {"expected", fmt::format("1…{}", text::kMaxTokenId)},
                                    {"found", gguf.tokens.size()}});
  }
  if (!gguf.token_types.empty() && gguf.token_types.size() != gguf.tokens.size()) {
    return fail("text.gguf_count", {{"file", gguf.file},
                                    {"key", "tokenizer.ggml.token_type"},
                                    {"expected", gguf.tokens.size()},
                                    {"found", gguf.token_types.size()}});
  }
  for (size_t i = 0; i < gguf.tokens.size(); ++i) {
    const int32_t type = gguf.token_types.empty() ? kNormal : gguf.token_types[i];
    const auto id = static_cast<int32_t>(i);
    if (type == kUnused) continue;
    if (type == kControl || type == kUserDefined || type == kUnknown) {
      added.push_back(
          {.content = text::utf8_lossy(gguf.tokens[i]), .id = id, .special = type != kUserDefined});
    } else {
      spec.vocab.push_back({gguf.tokens[i], id});
    }
  }
  return {};
}

Status read_merges(const GgufTokenizerData& gguf, text::BpeSpec& spec) {
  for (size_t i = 0; i < gguf.merges.size(); ++i) {
    const std::string_view both = gguf.merges[i];
    const size_t space = both.find(' ', 1);
    if (space == std::string_view::npos) {
      return fail("text.bad_merge", {{"file", gguf.file}, {"line", i + 1}});
    }
    spec.merges.push_back({both.substr(0, space), both.substr(space + 1)});
  }
  return {};
}

Status read_named(const GgufTokenizerData& gguf, TokenizerParts& parts) {
  for (const auto& [name, id] : gguf.named_ids) {
    if (id < 0 || static_cast<size_t>(id) >= gguf.tokens.size()) {
      return fail("text.gguf_named_id", {{"file", gguf.file}, {"key", name}, {"id", id}});
    }
    parts.named.emplace_back(name, text::utf8_lossy(gguf.tokens[static_cast<size_t>(id)]));
    if (name == "bos_token") parts.bos_id = id;
    if (name == "eos_token" && gguf.add_eos.value_or(false)) parts.end_id = id;
  }
  return {};
}

}  // namespace

std::optional<std::string_view> gguf_pre_of(const TokenizerParts& parts) {
  std::vector<SplitStep> steps = parts.steps;
  const auto idle = [](const SplitStep& s) { return s.rule == SplitRule::whole && !s.prefix_space; };
  steps.erase(std::remove_if(steps.begin(), steps.end(), idle), steps.end());
  const auto equal = [](const SplitStep& a, const SplitStep& b) {
    return a.rule == b.rule && a.prefix_space == b.prefix_space;
  };
  for (const Pre& pre : known_pres())
    if (pre.ignore_merges == parts.bpe->ignores_merges() &&
        std::equal(steps.begin(), steps.end(), pre.steps.begin(), pre.steps.end(), equal))
      return pre.name;
  return std::nullopt;
}

Result<Tokenizer> Tokenizer::from_gguf(GgufTokenizerData gguf) {
  if (gguf.model != "gpt2") return fail("text.gguf_model", {{"file", gguf.file}, {"model", gguf.model}});
  QW_TRY(const Pre pre, find_pre(gguf));
  TokenizerParts parts;
  text::BpeSpec spec{.source = gguf.file, .ignore_merges = pre.ignore_merges};
  QW_TRY(read_tokens(gguf, spec, parts.added));
  QW_TRY(read_merges(gguf, spec));
  QW_TRY(parts.bpe, text::Bpe::build(spec));
  QW_TRY(read_named(gguf, parts));
  parts.steps = pre.steps;
  parts.nfc = gguf.nfc.value_or(pre.nfc);
  parts.adds_bos = gguf.add_bos.value_or(pre.add_bos);
  if (parts.adds_bos && !parts.bos_id) return fail("text.no_bos", {{"file", gguf.file}});
  parts.chat_templates = std::move(gguf.chat_templates);
  return TokenizerBuilder::build(std::move(parts));
}

}  // namespace qw
