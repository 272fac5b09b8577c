// vocab.json + merges.txt (older GPT-2 and Qwen2 folders), and the numbering of added tokens.
#include <unordered_map>
#include <unordered_set>

#include "base/json.h"
#include "base/mmap.h"
#include "text/tokenizer_parts.h"

namespace qw {
namespace {

using text::AddedToken;
using text::SplitRule;

// What transformers builds for a class of tokenizer when there is only vocab.json and merges.txt
// (models/*/tokenization_*.py of 5.12).
Status steps_of_class(const std::string& file, const TokenizerConfig& config, TokenizerParts& parts) {
  std::string name = config.tokenizer_class;
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (name == "GPT2Tokenizer") {
    parts.steps = {{SplitRule::gpt2, config.add_prefix_space}};
  } else if (name == "Qwen2Tokenizer" || name == "Qwen3_5Tokenizer") {
    parts.steps = {{name == "Qwen2Tokenizer" ? SplitRule::qwen2 : SplitRule::qwen35, false},
                   {SplitRule::whole, config.add_prefix_space}};
    parts.nfc = true;
  } else {
    return fail("text.unsupported",
                {{"file", file}, {"key", "tokenizer_class"}, {"value", name.empty() ? "(none)" : name}});
  }
  return {};
}

// Lines "left right"; a first line "#version: …" and the line end at the end of the file carry nothing.
Status read_merges(const std::string& file, std::string_view content, text::BpeSpec& spec) {
  size_t number = 0;
  while (!content.empty()) {
    const size_t newline = content.find('\n');
    std::string_view line = content.substr(0, newline);
    content = newline == std::string_view::npos ? std::string_view() : content.substr(newline + 1);
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("#version") || (line.empty() && content.empty())) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
      return fail("text.bad_merge", {{"file", file}, {"line", number}});
    }
    spec.merges.push_back({line.substr(0, space), line.substr(space + 1)});
  }
  return {};
}

}  // namespace

Result<TokenizerParts> load_vocab_and_merges(const std::filesystem::path& folder,
                                             const TokenizerConfig& config) {
  const std::string vocab_file = (folder / "vocab.json").string();
  const std::string merges_file = (folder / "merges.txt").string();
  TokenizerParts parts;
  QW_TRY(steps_of_class((folder / "tokenizer_config.json").string(), config, parts));
  QW_TRY(const Json vocab, parse_json_file(vocab_file));
  if (!vocab.is_object())
    return fail("text.json", {{"file", vocab_file}, {"key", "(top)"}, {"expected", "object"}});
  text::BpeSpec spec{.source = vocab_file};
  for (const auto& [spelling, id] : vocab.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > text::kMaxTokenId) {
      return fail("text.bad_id", {{"file", vocab_file}, {"token", spelling}, {"id", id.dump()}});
    }
    spec.vocab.push_back({spelling, id.get<int32_t>()});
  }
  QW_TRY(const std::string merges, read_file(merges_file));
  QW_TRY(read_merges(merges_file, merges, spec));
  QW_TRY(parts.bpe, text::Bpe::build(spec));
  parts.adds_bos = config.add_bos_token;
  return parts;
}

void add_missing(std::vector<AddedToken>& added, const std::vector<AddedToken>& more) {
  std::unordered_set<std::string> known;
  for (const AddedToken& token : added) known.insert(token.content);
  for (const AddedToken& token : more) {
    if (known.insert(token.content).second) added.push_back(token);
  }
}

Status number_added_tokens(std::string_view file, const text::Bpe& bpe, std::vector<AddedToken>& added) {
  std::vector<AddedToken> out;
  std::unordered_map<std::string, size_t> at;
  auto next = static_cast<int64_t>(bpe.n_tokens());
  for (AddedToken& token : added) {
    if (token.content.empty()) continue;
    if (const auto known = at.find(token.content); known != at.end()) {
      token.id = out[known->second].id;
      token.special = token.special || out[known->second].special;
      out[known->second] = std::move(token);
      continue;
    }
    const std::optional<int32_t> in_vocabulary = bpe.id_of_spelling(token.content);
    const int64_t id = in_vocabulary ? *in_vocabulary : next++;
    if (id > text::kMaxTokenId)
      return fail("text.bad_id", {{"file", file}, {"token", token.content}, {"id", id}});
    token.id = static_cast<int32_t>(id);
    at.emplace(token.content, out.size());
    out.push_back(std::move(token));
  }
  added = std::move(out);
  return {};
}

}  // namespace qw
