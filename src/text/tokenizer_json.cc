// tokenizer.json of HF `tokenizers`, version 1.0. The large part (vocabulary, merges) goes through simdjson
// on demand, the small ones through base/json.h. What is not byte-level BPE as the supported families use it
// is refused by name.
#include <simdjson.h>

#include <algorithm>

#include "base/json.h"
#include "base/mmap.h"
#include "text/tokenizer_parts.h"

namespace qw {
namespace {

namespace ondemand = simdjson::ondemand;
using text::AddedToken;
using text::SplitRule;
using text::SplitStep;

// Reads parts of one file; errors carry its name.
struct JsonParts {
  std::string file;

  auto unsupported(std::string_view key, std::string_view value) const {
    return fail("text.unsupported", {{"file", file}, {"key", key}, {"value", value}});
  }
  auto wrong(std::string_view key, std::string_view expected) const {
    return fail("text.json", {{"file", file}, {"key", key}, {"expected", expected}});
  }

  Result<std::string> type_of(const Json& object, std::string_view key) const {
    if (!object.is_object() || !object.contains("type") || !object["type"].is_string())
      return wrong(key, "type");
    return object["type"].get<std::string>();
  }
  Result<bool> flag(const Json& object, const char* name, bool otherwise, std::string_view key) const {
    if (!object.contains(name) || object[name].is_null()) return otherwise;
    if (!object[name].is_boolean()) return wrong(fmt::format("{}.{}", key, name), "true or false");
    return object[name].get<bool>();
  }
  // The members of a Sequence.
  Result<const Json*> list(const Json& object, const char* name, std::string_view key) const {
    if (!object.contains(name) || !object[name].is_array())
      return wrong(fmt::format("{}.{}", key, name), "array");
    return &object[name];
  }

  Result<bool> normalizer(const Json& json) const;
  Status pre_tokenizer(const Json& json, std::vector<SplitStep>& steps, bool& byte_level) const;
  Status split(const Json& json, std::vector<SplitStep>& steps) const;
  Status decoder(const Json& json) const;
  Status post_processor(const Json& json, TokenizerParts& parts) const;
  Result<int32_t> template_token(const Json& json, const Json& token) const;
  Result<std::vector<AddedToken>> added_tokens(const Json& json) const;
};

// True for NFC.
Result<bool> JsonParts::normalizer(const Json& json) const {
  if (json.is_null()) return false;
  QW_TRY(const std::string type, type_of(json, "normalizer"));
  if (type == "NFC") return true;
  if (type != "Sequence") return unsupported("normalizer", type);
  QW_TRY(const Json* members, list(json, "normalizers", "normalizer"));
  bool nfc = false;
  for (const Json& member : *members) {
    QW_TRY(const bool one, normalizer(member));
    nfc = nfc || one;
  }
  return nfc;
}

Status JsonParts::split(const Json& json, std::vector<SplitStep>& steps) const {
  const Json* pattern = json.contains("pattern") ? &json["pattern"] : nullptr;
  if (pattern == nullptr || !pattern->is_object()) return wrong("pre_tokenizer.pattern", "object");
  if (!pattern->contains("Regex") || !(*pattern)["Regex"].is_string()) {
    return unsupported("pre_tokenizer.pattern", pattern->dump(-1, ' ', true, Json::error_handler_t::replace));
  }
  const std::string regex = (*pattern)["Regex"].get<std::string>();
  const std::optional<SplitRule> rule = text::rule_of_regex(regex);
  if (!rule) return fail("text.unknown_regex", {{"file", file}, {"regex", regex}});
  // The known regexes leave no character out, so removing what lies between matches is the same as isolating
  // them.
  const std::string behavior =
      json.value("behavior", Json()).is_string() ? json["behavior"].get<std::string>() : "";
  QW_TRY(const bool invert, flag(json, "invert", false, "pre_tokenizer"));
  if (!(behavior == "Isolated" && !invert) && !(behavior == "Removed" && invert)) {
    return unsupported("pre_tokenizer.behavior", fmt::format("{}, invert {}", behavior, invert));
  }
  steps.push_back({*rule, false});
  return {};
}

Status JsonParts::pre_tokenizer(const Json& json, std::vector<SplitStep>& steps, bool& byte_level) const {
  if (json.is_null()) return unsupported("pre_tokenizer", "null");
  QW_TRY(const std::string type, type_of(json, "pre_tokenizer"));
  if (type == "Sequence") {
    QW_TRY(const Json* members, list(json, "pretokenizers", "pre_tokenizer"));
    for (const Json& member : *members) QW_TRY(pre_tokenizer(member, steps, byte_level));
    return {};
  }
  // Behind ByteLevel a piece is spelled in the byte alphabet: other rules would apply.
  if (byte_level) return unsupported("pre_tokenizer", type + " behind ByteLevel");
  if (type == "Split") return split(json, steps);
  if (type == "Digits") {
    QW_TRY(const bool each, flag(json, "individual_digits", false, "pre_tokenizer"));
    steps.push_back({each ? SplitRule::digits_each : SplitRule::digits_runs, false});
    return {};
  }
  if (type != "ByteLevel") return unsupported("pre_tokenizer", type);
  QW_TRY(const bool use_regex, flag(json, "use_regex", true, "pre_tokenizer"));
  QW_TRY(const bool prefix, flag(json, "add_prefix_space", true, "pre_tokenizer"));
  steps.push_back({use_regex ? SplitRule::gpt2 : SplitRule::whole, prefix});
  byte_level = true;
  return {};
}

Status JsonParts::decoder(const Json& json) const {
  if (json.is_null()) return unsupported("decoder", "null");
  QW_TRY(const std::string type, type_of(json, "decoder"));
  if (type == "ByteLevel") return {};
  if (type == "Sequence") {
    QW_TRY(const Json* members, list(json, "decoders", "decoder"));
    if (members->size() == 1) return decoder(members->front());
  }
  return unsupported("decoder", type);
}

// What matters here: whether a BOS token comes first, and which token ends a text.
Status JsonParts::post_processor(const Json& json, TokenizerParts& parts) const {
  if (json.is_null()) return {};
  QW_TRY(const std::string type, type_of(json, "post_processor"));
  if (type == "ByteLevel") return {};
  if (type == "Sequence") {
    QW_TRY(const Json* members, list(json, "processors", "post_processor"));
    for (const Json& member : *members) QW_TRY(post_processor(member, parts));
    return {};
  }
  if (type != "TemplateProcessing") return unsupported("post_processor", type);
  QW_TRY(const Json* single, list(json, "single", "post_processor"));
  const auto special = [&](const Json& part) { return part.is_object() && part.contains("SpecialToken"); };
  if (single->empty()) return {};
  if (special(single->front())) {
    QW_TRY(parts.bos_id, template_token(json, single->front()["SpecialToken"]));
    parts.adds_bos = true;
  }
  if (single->size() > 1 && special(single->back())) {
    QW_TRY(parts.end_id, template_token(json, single->back()["SpecialToken"]));
  }
  return {};
}

// The id of one SpecialToken of a template.
Result<int32_t> JsonParts::template_token(const Json& json, const Json& token) const {
  if (!token.is_object() || !token.contains("id") || !token["id"].is_string()) {
    return wrong("post_processor.single", "SpecialToken.id");
  }
  const std::string name = token["id"].get<std::string>();
  const Json* special = json.contains("special_tokens") ? &json["special_tokens"] : nullptr;
  if (special == nullptr || !special->is_object() || !special->contains(name)) {
    return wrong("post_processor.special_tokens", name);
  }
  const Json& entry = (*special)[name];
  if (!entry.is_object() || !entry.contains("ids") || !entry["ids"].is_array() || entry["ids"].size() != 1 ||
      !entry["ids"][0].is_number_unsigned() || entry["ids"][0].get<uint64_t>() > text::kMaxTokenId) {
    return wrong("post_processor.special_tokens", "one id");
  }
  return entry["ids"][0].get<int32_t>();
}

Result<std::vector<AddedToken>> JsonParts::added_tokens(const Json& json) const {
  std::vector<AddedToken> out;
  if (json.is_null()) return out;
  if (!json.is_array()) return wrong("added_tokens", "array");
  for (const Json& entry : json) {
    if (!entry.is_object() || !entry.contains("content") || !entry["content"].is_string()) {
      return wrong("added_tokens", "content");
    }
    AddedToken token{.content = entry["content"].get<std::string>()};
    QW_TRY(token.special, flag(entry, "special", false, "added_tokens"));
    QW_TRY(token.lstrip, flag(entry, "lstrip", false, "added_tokens"));
    QW_TRY(token.rstrip, flag(entry, "rstrip", false, "added_tokens"));
    QW_TRY(token.single_word, flag(entry, "single_word", false, "added_tokens"));
    QW_TRY(token.normalized, flag(entry, "normalized", true, "added_tokens"));
    out.push_back(std::move(token));
  }
  return out;
}

// The object "model", whose strings stay in the parser's buffer.
class ModelReader {
 public:
  explicit ModelReader(const JsonParts& parts) : parts_(parts) { spec_.source = parts.file; }

  Status read(ondemand::object model);
  Result<text::Bpe> build() const {
    if (!has_vocab_) return parts_.wrong("model.vocab", "object");
    if (!has_merges_) return parts_.wrong("model.merges", "array");
    return text::Bpe::build(spec_);
  }

 private:
  Status field(std::string_view key, ondemand::value value);
  Status vocab(ondemand::value value);
  Status merges(ondemand::value value);
  Status merge(ondemand::value value);
  Status setting(std::string_view key, ondemand::value value);
  auto wrong(std::string_view key, std::string_view expected) const { return parts_.wrong(key, expected); }

  const JsonParts& parts_;
  text::BpeSpec spec_;
  std::string type_;  // "" in files older than the key, such as GPT-2's: BPE where there are merges
  bool has_vocab_ = false;
  bool has_merges_ = false;
};

Status ModelReader::read(ondemand::object model) {
  for (auto entry : model) {
    std::string_view key;
    ondemand::value value;
    if (entry.unescaped_key().get(key) != simdjson::SUCCESS ||
        entry.value().get(value) != simdjson::SUCCESS) {
      return wrong("model", "object");
    }
    QW_TRY(field(key, value));
  }
  return {};
}

Status ModelReader::field(std::string_view key, ondemand::value value) {
  if (key == "vocab") return vocab(value);
  if (key == "merges") return merges(value);
  if (key == "type") {
    std::string_view type;
    if (value.get_string().get(type) != simdjson::SUCCESS) return wrong("model.type", "string");
    type_ = type;
    return type_ == "BPE" ? Status() : Status(parts_.unsupported("model.type", type_));
  }
  return setting(key, value);
}

// Settings of the model apart from the tables. Those that change the result and are not supported must be
// off.
Status ModelReader::setting(std::string_view key, ondemand::value value) {
  bool is_null = false;
  if (value.is_null().get(is_null) != simdjson::SUCCESS) return wrong(fmt::format("model.{}", key), "value");
  if (is_null) return {};
  if (key == "fuse_unk" || key == "byte_fallback" || key == "ignore_merges") {
    bool on = false;
    if (value.get_bool().get(on) != simdjson::SUCCESS)
      return wrong(fmt::format("model.{}", key), "true or false");
    (key == "fuse_unk"        ? spec_.fuse_unk
     : key == "byte_fallback" ? spec_.byte_fallback
                              : spec_.ignore_merges) = on;
  } else if (key == "unk_token") {
    std::string_view token;
    if (value.get_string().get(token) != simdjson::SUCCESS) return wrong("model.unk_token", "string");
    spec_.unk_token = token;
  } else if (key == "continuing_subword_prefix" || key == "end_of_word_suffix") {
    std::string_view affix;
    if (value.get_string().get(affix) != simdjson::SUCCESS)
      return wrong(fmt::format("model.{}", key), "string");
    if (!affix.empty()) return parts_.unsupported(fmt::format("model.{}", key), affix);
  } else if (key == "dropout") {
    double dropout = 0;
    if (value.get_double().get(dropout) != simdjson::SUCCESS) return wrong("model.dropout", "number");
    if (dropout != 0) return parts_.unsupported("model.dropout", fmt::format("{}", dropout));
  }
  return {};
}

Status ModelReader::vocab(ondemand::value value) {
  ondemand::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) {
    return type_.empty() ? wrong("model.vocab", "object") : parts_.unsupported("model.vocab", "array");
  }
  for (auto entry : object) {
    text::BpeSpec::Entry e{};
    int64_t id = 0;
    if (entry.unescaped_key().get(e.spelling) != simdjson::SUCCESS) return wrong("model.vocab", "token");
    if (entry.value().get_int64().get(id) != simdjson::SUCCESS || id < 0 || id > text::kMaxTokenId) {
      return fail("text.bad_id", {{"file", spec_.source}, {"token", e.spelling}, {"id", id}});
    }
    e.id = static_cast<int32_t>(id);
    spec_.vocab.push_back(e);
  }
  has_vocab_ = true;
  return {};
}

Status ModelReader::merges(ondemand::value value) {
  ondemand::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return wrong("model.merges", "array");
  for (auto entry : array) {
    ondemand::value one;
    if (entry.get(one) != simdjson::SUCCESS) return wrong("model.merges", "array");
    QW_TRY(merge(one));
  }
  has_merges_ = true;
  return {};
}

// ["a", "b"], or "a b" as older files have it (where "#version" lines are comments).
Status ModelReader::merge(ondemand::value value) {
  const auto bad = [&] {
    return fail("text.bad_merge", {{"file", spec_.source}, {"line", spec_.merges.size() + 1}});
  };
  ondemand::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS) return bad();
  if (type == ondemand::json_type::string) {
    std::string_view both;
    if (value.get_string().get(both) != simdjson::SUCCESS) return bad();
    if (both.starts_with("#version")) return {};
    const size_t space = both.find(' ');
    if (space == std::string_view::npos || both.find(' ', space + 1) != std::string_view::npos) return bad();
    spec_.merges.push_back({both.substr(0, space), both.substr(space + 1)});
    return {};
  }
  ondemand::array pair;
  if (type != ondemand::json_type::array || value.get_array().get(pair) != simdjson::SUCCESS) return bad();
  std::string_view parts[2];
  size_t n = 0;
  for (auto part : pair) {
    if (n == 2 || part.get_string().get(parts[n]) != simdjson::SUCCESS) return bad();
    ++n;
  }
  if (n != 2) return bad();
  spec_.merges.push_back({parts[0], parts[1]});
  return {};
}

// A small member of the document as a tree.
Result<Json> small_part(const JsonParts& parts, std::string_view key, ondemand::value value) {
  ondemand::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS) return parts.wrong(key, "value");
  std::string_view raw;
  if (type == ondemand::json_type::array) {
    ondemand::array array;
    if (value.get_array().get(array) != simdjson::SUCCESS || array.raw_json().get(raw) != simdjson::SUCCESS) {
      return parts.wrong(key, "array");
    }
  } else if (type == ondemand::json_type::object) {
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS ||
        object.raw_json().get(raw) != simdjson::SUCCESS) {
      return parts.wrong(key, "object");
    }
  } else if (type == ondemand::json_type::null) {
    return Json(nullptr);
  } else {
    return parts.wrong(key, "object");
  }
  return parse_json(raw, parts.file);
}

// One pass over the members of the document.
Status read_document(const JsonParts& parts, ondemand::object document, ModelReader& model,
                     TokenizerParts& out) {
  bool has_pre_tokenizer = false;
  bool has_decoder = false;
  for (auto entry : document) {
    std::string_view key;
    ondemand::value value;
    if (entry.unescaped_key().get(key) != simdjson::SUCCESS ||
        entry.value().get(value) != simdjson::SUCCESS) {
      return parts.wrong("(top)", "object");
    }
    if (key == "model") {
      ondemand::object object;
      if (value.get_object().get(object) != simdjson::SUCCESS) return parts.wrong("model", "object");
      QW_TRY(model.read(object));
    } else if (key == "added_tokens") {
      QW_TRY(const Json json, small_part(parts, key, value));
      QW_TRY(out.added, parts.added_tokens(json));
    } else if (key == "normalizer") {
      QW_TRY(const Json json, small_part(parts, key, value));
      QW_TRY(out.nfc, parts.normalizer(json));
    } else if (key == "pre_tokenizer") {
      QW_TRY(const Json json, small_part(parts, key, value));
      bool byte_level = false;
      QW_TRY(parts.pre_tokenizer(json, out.steps, byte_level));
      if (!byte_level) return parts.unsupported("pre_tokenizer", "without ByteLevel");
      has_pre_tokenizer = true;
    } else if (key == "decoder") {
      QW_TRY(const Json json, small_part(parts, key, value));
      QW_TRY(parts.decoder(json));
      has_decoder = true;
    } else if (key == "post_processor") {
      QW_TRY(const Json json, small_part(parts, key, value));
      QW_TRY(parts.post_processor(json, out));
    }
  }
  if (!has_pre_tokenizer) return parts.unsupported("pre_tokenizer", "null");
  if (!has_decoder) return parts.unsupported("decoder", "null");
  return {};
}

}  // namespace

Result<TokenizerParts> parse_tokenizer_json(std::string_view json, const std::string& file) {
  const JsonParts parts{file};
  const simdjson::padded_string content(json);
  ondemand::parser parser;
  ondemand::document document;
  ondemand::object object;
  if (parser.iterate(content).get(document) != simdjson::SUCCESS ||
      document.get_object().get(object) != simdjson::SUCCESS) {
    return parts.wrong("(top)", "object");
  }
  TokenizerParts out;
  ModelReader model(parts);
  QW_TRY(read_document(parts, object, model, out));
  QW_TRY(out.bpe, model.build());
  return out;
}

Result<TokenizerParts> load_tokenizer_json(const std::filesystem::path& file) {
  QW_TRY(const auto mapped, MappedFile::open(file));
  const auto bytes = mapped->bytes();
  return parse_tokenizer_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.string());
}

}  // namespace qw
