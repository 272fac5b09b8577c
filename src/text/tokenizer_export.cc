#include "text/tokenizer_export.h"

#include <algorithm>

#include "base/json.h"
#include "text/tokenizer_parts.h"

namespace qw {
namespace {

// tokenizer.ggml.token_type
constexpr int32_t kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5;

using text::AddedToken;
using text::SplitRule;
using text::SplitStep;

Json byte_level(bool prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", prefix_space},
          {"trim_offsets", false},
          {"use_regex", use_regex}};
}

// The steps as a Sequence that ends in ByteLevel.
Result<Json> pre_tokenizer_json(std::vector<SplitStep> steps) {
  SplitStep last{SplitRule::whole};
  if (!steps.empty() && (steps.back().rule == SplitRule::gpt2 || steps.back().rule == SplitRule::whole)) {
    last = steps.back();
    steps.pop_back();
  }
  Json members = Json::array();
  for (const SplitStep& step : steps) {
    const std::string_view regex = text::regex_of_rule(step.rule);
    const bool digits = step.rule == SplitRule::digits_each || step.rule == SplitRule::digits_runs;
    if (step.prefix_space || (regex.empty() && !digits)) return fail("text.no_json_form");
    if (digits)
      members.push_back({{"type", "Digits"}, {"individual_digits", step.rule == SplitRule::digits_each}});
    else
      members.push_back(
          {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}});
  }
  members.push_back(byte_level(last.prefix_space, last.rule == SplitRule::gpt2));
  return Json{{"type", "Sequence"}, {"pretokenizers", std::move(members)}};
}

Json added_json(const AddedToken& t) {
  return {{"content", t.content}, {"single_word", t.single_word}, {"lstrip", t.lstrip},
          {"rstrip", t.rstrip},   {"normalized", t.normalized},   {"special", t.special}};
}

std::vector<AddedToken> by_id(std::vector<AddedToken> added) {
  std::sort(added.begin(), added.end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  return added;
}

// The vocabulary as `tokenizers` must see it: it numbers added tokens that are no part of it one after
// another behind it, so only an unbroken run at the end may stay out.
std::vector<std::pair<std::string, int32_t>> vocabulary(const text::Bpe& bpe,
                                                        const std::vector<AddedToken>& added) {
  std::vector<std::pair<std::string, int32_t>> out;
  for (int32_t id = 0; id < bpe.end_id(); ++id)
    if (bpe.has(id)) out.emplace_back(bpe.spelling(id), id);
  const bool in_order = static_cast<size_t>(bpe.end_id()) == out.size();  // no holes
  int32_t next = bpe.end_id();
  for (const AddedToken& t : added) {
    if (bpe.has(t.id)) continue;
    if (in_order && t.id == next)
      ++next;
    else
      out.emplace_back(t.content, t.id);
  }
  return out;
}

std::string json_quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The model's part of tokenizer.json; a Json object that keeps order would be slow at this size.
std::string model_json(const text::Bpe& bpe, const std::vector<AddedToken>& added) {
  std::string out = fmt::format(
      "{{\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
      "    \"continuing_subword_prefix\": \"\",\n    \"end_of_word_suffix\": \"\",\n"
      "    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": {},\n"
      "    \"vocab\": {{",
      bpe.ignores_merges());
  bool first = true;
  for (const auto& [spelling, id] : vocabulary(bpe, added))
    out += fmt::format("{}\n      {}: {}", std::exchange(first, false) ? "" : ",", json_quoted(spelling), id);
  out += "\n    },\n    \"merges\": [";
  first = true;
  for (const auto& [left, right] : bpe.merges())
    out += fmt::format("{}\n      [{}, {}]", std::exchange(first, false) ? "" : ",",
                       json_quoted(bpe.spelling(left)), json_quoted(bpe.spelling(right)));
  return out + "\n    ]\n  }";
}

Json post_processor_json(const Tokenizer& tokenizer) {
  if (!tokenizer.adds_bos() && !tokenizer.end_id()) return byte_level(false, false);
  Json single = Json::array({Json{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}});
  Json pair = Json::array({single[0], Json{{"Sequence", {{"id", "B"}, {"type_id", 1}}}}});
  Json tokens = Json::object();
  const auto add = [&](int32_t id, bool first) {
    const std::string text = tokenizer.token_text(id);
    const Json special{{"SpecialToken", {{"id", text}, {"type_id", 0}}}};
    for (Json* list : {&single, &pair}) list->insert(first ? list->begin() : list->end(), special);
    tokens[text] = Json{{"id", text}, {"ids", {id}}, {"tokens", {text}}};
  };
  if (tokenizer.adds_bos()) add(*tokenizer.bos_id(), true);
  if (tokenizer.end_id()) add(*tokenizer.end_id(), false);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
}

std::string config_json(const Tokenizer& tokenizer, const TokenizerParts& parts,
                        const std::vector<AddedToken>& added) {
  Json out{{"add_bos_token", parts.adds_bos}, {"added_tokens_decoder", Json::object()}};
  for (const AddedToken& t : added) out["added_tokens_decoder"][std::to_string(t.id)] = added_json(t);
  for (const auto& [name, content] : tokenizer.named_tokens()) out[name] = content;
  const auto& templates = parts.chat_templates;
  if (templates.size() == 1 && templates[0].name == "default") {
    out["chat_template"] = templates[0].source;
  } else if (!templates.empty()) {
    for (const ChatTemplateSource& t : templates)
      out["chat_template"].push_back({{"name", t.name}, {"template", t.source}});
  }
  out["clean_up_tokenization_spaces"] = false;
  out["tokenizer_class"] = "PreTrainedTokenizerFast";
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

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
  // GGUF can only say that its EOS ends a text: as llama.cpp's converter, the token that ends texts becomes
  // that one, and what ended answers the end of a turn.
  const auto eos = tokenizer.eos_id();
  const bool other_end = parts.end_id && parts.end_id != eos;
  for (const auto& [name, content] : parts.named)
    if (const auto id = tokenizer.id_of(content); id && !(other_end && name == "eos_token"))
      out.named_ids.emplace_back(name, *id);
  if (other_end) out.named_ids.emplace_back("eos_token", *parts.end_id);
  if (other_end && eos) out.named_ids.emplace_back("eot_token", *eos);
  if (parts.bos_id && !tokenizer.named_token("bos_token"))
    out.named_ids.emplace_back("bos_token", *parts.bos_id);
  out.add_bos = parts.adds_bos;
  out.add_eos = parts.end_id.has_value();
  out.nfc = parts.nfc;
  out.chat_templates = parts.chat_templates;
  return out;
}

Result<std::map<std::string, std::string>> export_to_folder(const Tokenizer& tokenizer) {
  const TokenizerParts& parts = TokenizerBuilder::parts(tokenizer);
  const std::vector<AddedToken> added = by_id(parts.added);
  Json head{{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  head["added_tokens"] = Json::array();
  for (const AddedToken& t : added) {
    Json entry{{"id", t.id}};
    entry.update(added_json(t));
    head["added_tokens"].push_back(std::move(entry));
  }
  head["normalizer"] = parts.nfc ? Json{{"type", "NFC"}} : Json();
  QW_TRY(head["pre_tokenizer"], pre_tokenizer_json(parts.steps));
  head["post_processor"] = post_processor_json(tokenizer);
  head["decoder"] = byte_level(false, false);
  std::string json = head.dump(2, ' ', false, Json::error_handler_t::replace);
  json.resize(json.rfind('\n'));  // the closing brace
  json += ",\n  \"model\": " + model_json(*parts.bpe, added) + "\n}\n";
  return std::map<std::string, std::string>{{"tokenizer.json", std::move(json)},
                                            {"tokenizer_config.json", config_json(tokenizer, parts, added)}};
}

}  // namespace qw
