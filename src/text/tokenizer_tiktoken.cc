// qwen.tiktoken, the vocabulary of the original Qwen: a line for each token, its bytes in base64 and its
// rank, which is its id. The merges are not written down: they follow from the ranks (openai/tiktoken: of all
// neighbours whose bytes together are a token, the one of lowest rank is joined first). Special tokens, words
// and chat format are those of tokenization_qwen.py and qwen_generation_utils.py of Qwen/Qwen-7B-Chat.
// Test: tests/text/tiktoken_test.cc
#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>

#include "base/json.h"
#include "base/mmap.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_parts.h"

namespace qw {
namespace {

using text::AddedToken;
using text::SplitRule;

constexpr size_t kMaxTokenBytes =
    1024;  // ten times the longest of the real file; merges are found in its square

using Ranks = std::unordered_map<std::string_view, int32_t>;

std::optional<std::string> from_base64(std::string_view text) {
  const auto value_of = [](char c) -> int {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
  };
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && text[text.size() - 1 - padding] == '=') ++padding;
  std::string out;
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const int v = i < text.size() - padding ? value_of(text[i]) : 0;
    if (v < 0) return std::nullopt;
    bits = (bits << 6) | static_cast<uint32_t>(v);
    if (i % 4 != 3) continue;
    for (const int shift : {16, 8, 0}) out.push_back(static_cast<char>((bits >> shift) & 0xFF));
    bits = 0;
  }
  out.resize(out.size() - padding);
  return out;
}

// The tokens by rank, which must be 0, 1, 2, …
Result<std::vector<std::string>> read_ranks(std::string_view content, const std::string& file) {
  std::vector<std::string> out;
  for (size_t line = 1; !content.empty(); ++line) {
    const size_t newline = content.find('\n');
    std::string_view text = content.substr(0, newline);
    content = newline == std::string_view::npos ? std::string_view() : content.substr(newline + 1);
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.empty()) continue;
    const size_t space = text.find(' ');
    const auto bytes = from_base64(text.substr(0, space));
    const std::string_view number = space == std::string_view::npos ? "" : text.substr(space + 1);
    size_t rank = 0;
    const auto [end, code] = std::from_chars(number.data(), number.data() + number.size(), rank);
    if (!bytes || bytes->empty() || bytes->size() > kMaxTokenBytes || number.empty() || code != std::errc() ||
        end != number.data() + number.size() || rank != out.size() || rank > text::kMaxTokenId)
      return fail("text.bad_rank", {{"file", file}, {"line", line}});
    out.push_back(*bytes);
  }
  return out;
}

// The two tokens whose merge makes token `rank`: what the bytes come to with the merges of lower rank alone.
// None where they come to more than two, so that no merge can make it.
std::optional<std::pair<std::string_view, std::string_view>> parts_of(std::string_view token, int32_t rank,
                                                                      const Ranks& ranks) {
  std::vector<std::string_view> parts;
  for (size_t i = 0; i < token.size(); ++i) parts.push_back(token.substr(i, 1));
  while (parts.size() > 2) {
    size_t best = 0;
    int32_t best_rank = rank;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const std::string_view both(parts[i].data(), parts[i].size() + parts[i + 1].size());
      const auto it = ranks.find(both);
      if (it == ranks.end() || it->second >= best_rank) continue;
      best = i;
      best_rank = it->second;
    }
    if (best_rank == rank) return std::nullopt;
    parts[best] = {parts[best].data(), parts[best].size() + parts[best + 1].size()};
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
  if (parts.size() != 2) return std::nullopt;
  return std::pair(parts[0], parts[1]);
}

Result<text::Bpe> build(const std::vector<std::string>& tokens, const std::string& file) {
  Ranks ranks;
  std::vector<std::string> spellings;
  spellings.reserve(tokens.size());
  for (const std::string& token : tokens) {
    if (!ranks.emplace(token, static_cast<int32_t>(spellings.size())).second)
      return fail("text.bad_rank", {{"file", file}, {"line", spellings.size() + 1}});
    spellings.push_back(text::spelling_of_bytes(token));
  }
  text::BpeSpec spec{.source = file};
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto rank = static_cast<int32_t>(i);
    spec.vocab.push_back({spellings[i], rank});
    if (tokens[i].size() == 1) continue;
    const auto parts = parts_of(tokens[i], rank, ranks);
    if (!parts) {
      spec.ignore_merges = true;  // tiktoken finds such a token as a whole word alone
      continue;
    }
    const auto left = ranks.find(parts->first), right = ranks.find(parts->second);
    if (left == ranks.end() || right == ranks.end())
      return fail("text.merge_unknown", {{"file", file}, {"index", i}, {"token", spellings[i]}});
    spec.merges.push_back(
        {spellings[static_cast<size_t>(left->second)], spellings[static_cast<size_t>(right->second)]});
  }
  return text::Bpe::build(spec);
}

// make_context of qwen_generation_utils.py with the system text of QWenLMHeadModel.chat, and ReAct, in which
// this generation was taught to call functions, as parse_messages of openai_api.py (QwenLM/Qwen) writes it.
constexpr std::string_view kChatMl = R"({%- set system = 'You are a helpful assistant.' -%}
{%- set turns = messages -%}
{%- if messages and messages[0].role == 'system' -%}
  {%- set system = messages[0].content -%}
  {%- set turns = messages[1:] -%}
{%- endif -%}
{{- '<|im_start|>system\n' + system + '<|im_end|>' -}}
{%- set ns = namespace(last_user=-1, open=false) -%}
{%- for m in turns -%}{%- if m.role == 'user' -%}{%- set ns.last_user = loop.index0 -%}{%- endif -%}{%- endfor -%}
{%- for m in turns -%}
  {%- set content = m.content or '' -%}
  {%- if m.role == 'tool' or m.role == 'function' -%}
    {{- '\nObservation: ' + content -}}
    {%- set ns.open = true -%}
  {%- elif m.role == 'assistant' -%}
    {%- if ns.open -%}{{- '\n' -}}{%- else -%}{{- '\n<|im_start|>assistant\n' -}}{%- endif -%}
    {%- if m.tool_calls -%}
      {%- if not content.startswith('Thought:') -%}{%- set content = 'Thought: ' + content -%}{%- endif -%}
      {{- content -}}
      {%- for call in m.tool_calls -%}
        {%- set f = call.function if call.function else call -%}
        {%- set arguments = f.arguments if f.arguments is string else f.arguments | tojson -%}
        {{- '\nAction: ' + f.name + '\nAction Input: ' + arguments -}}
      {%- endfor -%}
      {%- set ns.open = true -%}
    {%- else -%}
      {%- if tools -%}{{- 'Thought: I now know the final answer.\nFinal Answer: ' -}}{%- endif -%}
      {{- content -}}
      {%- set ns.open = false -%}
    {%- endif -%}
    {%- if not ns.open -%}{{- '<|im_end|>' -}}{%- endif -%}
  {%- else -%}
    {{- '\n<|im_start|>' + m.role + '\n' -}}
    {%- if tools and loop.index0 == ns.last_user -%}
      {{- 'Answer the following questions as best you can. You have access to the following APIs:\n\n' -}}
      {%- for tool in tools -%}
        {%- set f = tool.function if tool.function else tool -%}
        {{- f.name + ': Call this tool to interact with the ' + f.name + ' API. What is the ' + f.name -}}
        {{- ' API useful for? ' + (f.description or '') + ' Parameters: ' + (f.parameters | tojson) + '\n\n' -}}
      {%- endfor -%}
      {{- 'Use the following format:\n\nQuestion: the input question you must answer\n' -}}
      {{- 'Thought: you should always think about what to do\nAction: the action to take, should be one of [' -}}
      {%- for tool in tools -%}
        {{- (tool.function if tool.function else tool).name + ('' if loop.last else ', ') -}}
      {%- endfor -%}
      {{- ']\nAction Input: the input to the action\nObservation: the result of the action\n' -}}
      {{- '... (this Thought/Action/Action Input/Observation can be repeated zero or more times)\n' -}}
      {{- 'Thought: I now know the final answer\n' -}}
      {{- 'Final Answer: the final answer to the original input question\n\nBegin!\n\nQuestion: ' -}}
    {%- endif -%}
    {{- content + '<|im_end|>' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {%- if ns.open -%}{{- '\nThought:' -}}{%- else -%}{{- '\n<|im_start|>assistant\n' -}}{%- endif -%}
{%- endif -%}
)";

// Chat models say chat_format "chatml" in generation_config.json, base models "raw".
Result<bool> is_chat(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "generation_config.json";
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return false;
  QW_TRY(const Json json, parse_json_file(file));
  return json.is_object() && json.value("chat_format", Json()) == "chatml";
}

}  // namespace

Result<TokenizerParts> parse_tiktoken(std::string_view content, const std::string& file) {
  QW_TRY(const std::vector<std::string> tokens, read_ranks(content, file));
  TokenizerParts parts;
  QW_TRY(parts.bpe, build(tokens, file));
  parts.steps = {{SplitRule::qwen2, false}};
  parts.nfc = true;
  // The text is normalised as a whole before special tokens are looked for.
  const auto special = [&](std::string token) {
    parts.added.push_back({.content = std::move(token), .special = true, .normalized = true});
  };
  for (const char* name : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) special(name);
  for (int i = 0; i < 205; ++i) special(fmt::format("<|extra_{}|>", i));
  return parts;
}

Result<TokenizerParts> load_tiktoken(const std::filesystem::path& folder, TokenizerConfig& config) {
  const std::string file = (folder / "qwen.tiktoken").string();
  QW_TRY(const std::string content, read_file(file));
  QW_TRY(TokenizerParts parts, parse_tiktoken(content, file));
  for (const char* name : {"eos_token", "pad_token"}) {
    const auto has = [&](const auto& named) { return named.first == name; };
    if (std::none_of(config.named.begin(), config.named.end(), has))
      config.named.emplace_back(name, "<|endoftext|>");
  }
  QW_TRY(const bool chat, is_chat(folder));
  if (chat && config.chat_templates.empty())
    config.chat_templates.push_back({"default", std::string(kChatMl)});
  return parts;
}

}  // namespace qw
