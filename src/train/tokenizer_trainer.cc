#include "train/tokenizer_trainer.h"

#include <algorithm>

#include "base/json.h"
#include "base/mmap.h"
#include "text/byte_alphabet.h"
#include "text/pretokenizer.h"
#include "text/utf8.h"
#include "train/tokenizer_corpus.h"

namespace qw::train {
namespace {

constexpr const char* kEndOfText = "<|endoftext|>";
constexpr const char* kTurnEnd = "<|im_end|>";
constexpr const char* kSpecial[] = {kEndOfText, "<|im_start|>", kTurnEnd};
// In the order of Qwen3's ids.
constexpr const char* kTags[] = {"<tool_call>",      "</tool_call>", "<tool_response>",
                                 "</tool_response>", "<think>",      "</think>"};
constexpr int kModelMaxLength = 131072;  // as Qwen3's; the model's own limit is in its config.json

bool contains(const std::vector<std::string>& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

tl::unexpected<Error> bad_special(const std::string& token) {
  return fail("tokenizer.bad_special", {{"token", text::utf8_lossy(token)}});
}

// The spelling of a byte is a token of every vocabulary; check_added says the same of those that are learnt.
bool spells_byte(const std::string& token) {
  const auto bytes = text::bytes_of_spelling(token);
  return bytes && bytes->size() == 1;
}

// A newline would allow a token across the parts into which TokenizerCorpus cuts.
Status collect_added(const TokenizerOptions& options, TrainedTokenizer& out) {
  out.special.assign(std::begin(kSpecial), std::end(kSpecial));
  for (const std::string& token : options.special) {
    if (token.empty() || token.find('\n') != token.npos || !text::utf8_valid(token) || spells_byte(token))
      return bad_special(token);
    if (!contains(out.special, token)) out.special.push_back(token);
  }
  if (!options.tags) return {};
  for (const std::string tag : kTags)
    if (!contains(out.special, tag)) out.tags.push_back(tag);
  return {};
}

// An added token that the vocabulary spells has that one's id wherever tokenizer.json is loaded, and all that
// follow would be one off. The texts hold no added token, yet "Ġthe" is how a learnt " the" is spelled.
Status check_added(const std::vector<std::string>& added, const TrainedBpe& bpe) {
  for (const std::string& token : added)
    if (const auto bytes = text::bytes_of_spelling(token); bytes && contains(bpe.tokens, *bytes))
      return bad_special(token);
  return {};
}

int64_t total_bytes(const std::vector<std::filesystem::path>& files) {
  int64_t total = 0;
  std::error_code error;
  for (const auto& file : files)
    if (const auto size = std::filesystem::file_size(file, error); !error)
      total += static_cast<int64_t>(size);
  return total;
}

Json added_token(const std::string& content, bool special) {
  return {{"content", content}, {"single_word", false}, {"lstrip", false},
          {"rstrip", false},    {"normalized", false},  {"special", special}};
}

// Calls fn(id, content, special) for every added token.
template <class Fn>
void for_each_added(const TrainedTokenizer& tokenizer, Fn&& fn) {
  int id = static_cast<int>(tokenizer.bpe.tokens.size());
  for (const std::string& token : tokenizer.special) fn(id++, token, true);
  for (const std::string& token : tokenizer.tags) fn(id++, token, false);
}

Json byte_level() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
}

// Everything of tokenizer.json before the vocabulary, which would be slow as a Json object that keeps order.
Json head(const TrainedTokenizer& tokenizer) {
  Json added = Json::array();
  for_each_added(tokenizer, [&](int id, const std::string& content, bool special) {
    Json entry{{"id", id}};
    entry.update(added_token(content, special));
    added.push_back(std::move(entry));
  });
  const Json split{{"type", "Split"},
                   {"pattern", {{"Regex", text::regex_of_rule(text::SplitRule::qwen2)}}},
                   {"behavior", "Isolated"},
                   {"invert", false}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level()})}}},
          {"post_processor", byte_level()},
          {"decoder", byte_level()}};
}

std::string json_quoted(const std::string& bytes) {
  return Json(text::spelling_of_bytes(bytes)).dump();
}

std::string tokenizer_json(const TrainedTokenizer& tokenizer) {
  const TrainedBpe& bpe = tokenizer.bpe;
  std::string out = head(tokenizer).dump(2);
  out.resize(out.rfind('\n'));  // the closing brace
  out +=
      ",\n  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
      "    \"continuing_subword_prefix\": \"\",\n    \"end_of_word_suffix\": \"\",\n    \"fuse_unk\": "
      "false,\n"
      "    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n    \"vocab\": {";
  for (size_t id = 0; id < bpe.tokens.size(); ++id)
    out += fmt::format("{}\n      {}: {}", id == 0 ? "" : ",", json_quoted(bpe.tokens[id]), id);
  out += "\n    },\n    \"merges\": [";
  for (size_t rank = 0; rank < bpe.merges.size(); ++rank)
    out += fmt::format("{}\n      [{}, {}]", rank == 0 ? "" : ",",
                       json_quoted(bpe.tokens[static_cast<size_t>(bpe.merges[rank].first)]),
                       json_quoted(bpe.tokens[static_cast<size_t>(bpe.merges[rank].second)]));
  out += bpe.merges.empty() ? "]" : "\n    ]";
  return out + "\n  }\n}\n";
}

std::string tokenizer_config_json(const TrainedTokenizer& tokenizer, const std::string& chat_template) {
  Json decoder = Json::object(), more = Json::array();
  for_each_added(tokenizer, [&](int id, const std::string& content, bool special) {
    decoder[std::to_string(id)] = added_token(content, special);
    if (special && content != kEndOfText) more.push_back(content);
  });
  Json out{{"add_bos_token", false},
           {"add_prefix_space", false},
           {"added_tokens_decoder", decoder},
           {"additional_special_tokens", more},
           {"bos_token", nullptr}};
  if (!chat_template.empty()) out["chat_template"] = chat_template;
  out.update({{"clean_up_tokenization_spaces", false},
              {"eos_token", kTurnEnd},
              {"errors", "replace"},
              {"model_max_length", kModelMaxLength},
              {"pad_token", kEndOfText},
              {"split_special_tokens", false},
              {"tokenizer_class", "Qwen2Tokenizer"},
              {"unk_token", nullptr}});
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

Result<TrainedTokenizer> train_tokenizer(const std::vector<std::filesystem::path>& files,
                                         const TokenizerOptions& options) {
  using Stage = TokenizerOptions::Stage;
  TrainedTokenizer out;
  QW_TRY(collect_added(options, out));
  std::vector<std::string> added = out.special;
  added.insert(added.end(), out.tags.begin(), out.tags.end());
  const int bpe_vocab = options.vocab - static_cast<int>(added.size());
  if (bpe_vocab < 256)
    return fail("tokenizer.vocab_too_small", {{"vocab", options.vocab}, {"least", 256 + added.size()}});

  const auto report = [&](Stage stage, int64_t done, int64_t total) {
    if (options.progress) options.progress(stage, done, total);
  };
  ThreadPool pool(std::max(1, options.threads));
  const int64_t bytes = total_bytes(files);
  TokenizerCorpus corpus(pool, added, [&](int64_t done) { report(Stage::count, done, bytes); });
  for (const auto& file : files) QW_TRY(corpus.add_file(file));
  const WordCounts words = corpus.take();
  if (words.entries().empty()) return fail("tokenizer.no_text");
  for (const WordCounts::Entry& e : words.entries())
    out.n_bytes += static_cast<int64_t>(e.word.size()) * e.count;
  out.n_words = static_cast<int64_t>(words.entries().size());
  BpeTrainOptions bpe{.vocab = bpe_vocab, .min_count = options.min_count};
  bpe.progress = [&](int64_t done, int64_t total) { report(Stage::merge, done, total); };
  QW_TRY(out.bpe, train_bpe(words, bpe));
  QW_TRY(check_added(added, out.bpe));
  return out;
}

Status save_tokenizer(const TrainedTokenizer& tokenizer, const std::string& chat_template,
                      const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail("file.write", {{"file", folder.string()}, {"reason", error.message()}});
  QW_TRY(write_file_atomic(folder / "tokenizer.json", tokenizer_json(tokenizer)));
  return write_file_atomic(folder / "tokenizer_config.json", tokenizer_config_json(tokenizer, chat_template));
}

}  // namespace qw::train
