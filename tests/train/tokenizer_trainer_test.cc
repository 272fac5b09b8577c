// Training a tokenizer: the merges of HF `tokenizers` (data/make_merges.py), against a slow trainer that
// counts anew at every step, whatever the threads and files; and the errors.
#include "train/tokenizer_trainer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>

#include "base/json.h"
#include "base/mmap.h"
#include "base/rng.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

namespace qw::train {
namespace {

namespace fs = std::filesystem;
const fs::path kData = QW_SOURCE_DIR "/tests/train/data";

class TokenizerTrainer : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("qw_tokenizer_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path file(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return folder_ / name;
  }

  fs::path folder_;
};

using Merges = std::vector<std::pair<std::string, std::string>>;

// By bytes.
Merges merges_of(const TrainedBpe& bpe) {
  Merges out;
  for (const auto& [left, right] : bpe.merges)
    out.emplace_back(bpe.tokens[static_cast<size_t>(left)], bpe.tokens[static_cast<size_t>(right)]);
  return out;
}

TEST_F(TokenizerTrainer, MergesAreThoseOfTheReference) {
  const auto golden = parse_json_file(kData / "merges.json");
  ASSERT_TRUE(golden.has_value());
  ASSERT_EQ(golden->size(), 3U);
  for (const Json& c : *golden) {
    Merges expected;
    for (const Json& m : c["merges"])
      expected.emplace_back(*text::bytes_of_spelling(m[0].get<std::string>()),
                            *text::bytes_of_spelling(m[1].get<std::string>()));
    const auto trained = train_tokenizer(
        {kData / "corpus.txt"}, {.vocab = c["vocab"].get<int>() + 3, .min_count = c["min_count"].get<int>()});
    ASSERT_TRUE(trained.has_value()) << trained.error().debug();
    EXPECT_EQ(merges_of(trained->bpe), expected);
    EXPECT_EQ(trained->bpe.n_tokens, c["n_tokens"].get<int64_t>());
  }
}

// Counts every pair anew before each merge.
Merges slow_merges(const std::map<std::string, int64_t>& words, const TrainedBpe& bytes, int n_merges) {
  std::vector<std::string> tokens(bytes.tokens.begin(), bytes.tokens.begin() + 256);
  std::map<std::string, int> id_of;
  for (size_t i = 0; i < tokens.size(); ++i) id_of[tokens[i]] = static_cast<int>(i);
  std::vector<std::pair<std::vector<int>, int64_t>> split;
  for (const auto& [word, count] : words) {
    std::vector<int> ids;
    for (const char c : word) ids.push_back(id_of[std::string(1, c)]);
    split.emplace_back(ids, count);
  }
  Merges out;
  while (static_cast<int>(tokens.size()) < 256 + n_merges) {
    std::map<std::pair<int, int>, int64_t> counts;
    for (const auto& [ids, count] : split)
      for (size_t i = 0; i + 1 < ids.size(); ++i) counts[{ids[i], ids[i + 1]}] += count;
    const std::pair<const std::pair<int, int>, int64_t>* best = nullptr;
    for (const auto& entry : counts)  // in the order of pairs: the first of equals stays
      if (best == nullptr || entry.second > best->second) best = &entry;
    if (best == nullptr || best->second < 1) break;
    const auto [left, right] = best->first;
    const std::string merged = tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)];
    out.emplace_back(tokens[static_cast<size_t>(left)], tokens[static_cast<size_t>(right)]);
    const auto [entry, added] = id_of.try_emplace(merged, static_cast<int>(tokens.size()));
    if (added) tokens.push_back(merged);
    for (auto& word : split) {
      std::vector<int> ids;
      for (size_t i = 0; i < word.first.size(); ++i) {
        const bool pair = i + 1 < word.first.size() && word.first[i] == left && word.first[i + 1] == right;
        ids.push_back(pair ? entry->second : word.first[i]);
        i += pair ? 1 : 0;
      }
      word.first = ids;
    }
  }
  return out;
}

TEST_F(TokenizerTrainer, EqualsCountingAnewOnRandomWords) {
  uint64_t n = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    std::map<std::string, int64_t> words;
    WordCounts counts;
    const auto draw = [&](uint64_t below) { return Rng(seed).below(below, n++); };
    const uint64_t letters = 1 + draw(4);
    for (int w = 0; w < 30; ++w) {
      std::string word;
      for (uint64_t i = 1 + draw(14); i > 0; --i) word.push_back(static_cast<char>('a' + draw(letters)));
      const auto count = static_cast<int64_t>(1 + draw(5));
      words[word] += count;
      counts.add(word, count);
    }
    const auto trained = train_bpe(counts, {.vocab = 256 + 40, .min_count = 1});
    ASSERT_TRUE(trained.has_value());
    EXPECT_EQ(merges_of(*trained), slow_merges(words, *trained, 40)) << "seed " << seed;
  }
}

TEST_F(TokenizerTrainer, ThreadsAndCutsChangeNothing) {
  const auto corpus = read_file(kData / "corpus.txt");
  ASSERT_TRUE(corpus.has_value());
  std::string large;
  for (int i = 0; large.size() < (size_t{5} << 20); ++i) large += *corpus + std::to_string(i) + " line\n";
  const fs::path whole = file("large.txt", large);
  const auto one = train_tokenizer({whole}, {.vocab = 1000, .threads = 1});
  const auto four = train_tokenizer({whole}, {.vocab = 1000, .threads = 4});
  // As one string, so that nothing is cut.
  const auto line = train_tokenizer({file("large.jsonl", Json{{"text", large}}.dump())}, {.vocab = 1000});
  ASSERT_TRUE(one && four && line);
  EXPECT_EQ(merges_of(one->bpe), merges_of(four->bpe));
  EXPECT_EQ(merges_of(one->bpe), merges_of(line->bpe));
  EXPECT_EQ(one->bpe.n_tokens, line->bpe.n_tokens);
  EXPECT_EQ(one->n_words, line->n_words);
}

TEST_F(TokenizerTrainer, TheFolderLoadsAndTheCountHolds) {
  const auto trained =
      train_tokenizer({kData / "corpus.txt"},
                      {.vocab = 600, .special = {"<|x|>", "<|im_end|>"}, .tags = true, .min_count = 1});
  ASSERT_TRUE(trained.has_value());
  EXPECT_EQ(trained->vocab(), 600);
  ASSERT_TRUE(save_tokenizer(*trained, "{{ messages }}", folder_ / "new" / "folder"));
  const auto tokenizer = Tokenizer::from_folder(folder_ / "new" / "folder");
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().debug();
  EXPECT_EQ(tokenizer->vocab_size(), 600);
  EXPECT_EQ(tokenizer->id_of("<|endoftext|>"), 590);
  EXPECT_EQ(tokenizer->pad_id(), 590);
  EXPECT_EQ(tokenizer->eos_id(), 592);
  EXPECT_EQ(tokenizer->id_of("<|x|>"), 593);
  EXPECT_EQ(tokenizer->id_of("</think>"), 599);
  EXPECT_TRUE(tokenizer->is_special(593));
  EXPECT_FALSE(tokenizer->is_special(599));
  ASSERT_EQ(tokenizer->chat_templates().size(), 1U);
  EXPECT_EQ(tokenizer->chat_templates().front().source, "{{ messages }}");
  const auto corpus = read_file(kData / "corpus.txt");
  EXPECT_EQ(static_cast<int64_t>(tokenizer->encode(*corpus).size()), trained->bpe.n_tokens);
  EXPECT_EQ(tokenizer->encode("<think>\n<|x|>").size(), 3U);
}

// The words of a corpus, as the vocabulary shows: everything is merged to the end.
std::string longest_tokens(const std::vector<fs::path>& files, const std::vector<std::string>& special = {}) {
  const auto trained = train_tokenizer(files, {.vocab = 3000, .special = special, .min_count = 1});
  if (!trained) return trained.error().debug();
  std::string all;
  for (const std::string& token : trained->bpe.tokens)
    if (token.size() > 1) all += "[" + token + "]";
  return all;
}

TEST_F(TokenizerTrainer, ChatsGiveTheirTextsCallsAndTools) {
  const std::string line =
      R"({"messages": [{"role": "wizard", "content": "contentword"}, {"role": "u", "content": [{"type": "text",)"
      R"("text": "partword"}]}, {"role": "a", "reasoning_content": "thoughtword", "tool_calls": [{"function":)"
      R"({"name": "calledword", "arguments": {"keyword": 1}}}]}], "tools": [{"function": {"name": "toolword"}}]})";
  const std::string tokens = longest_tokens({file("chat.jsonl", line + "\n\n")});
  for (const char* word : {"[wizard]", "[contentword]", "[partword]", "[thoughtword]", "[calledword]",
                           "[keyword]", "[toolword]", "[\":]", "[ {\"]"})
    EXPECT_NE(tokens.find(word), tokens.npos) << word << " in " << tokens;
}

TEST_F(TokenizerTrainer, AddedTokensAreNoWords) {
  const fs::path text = file("special.txt", "wordone<|im_end|>wordtwo<|mine|>");
  EXPECT_EQ(longest_tokens({text}, {"<|mine|>"}).find("im_"), std::string::npos);
  EXPECT_EQ(longest_tokens({text}, {"<|mine|>"}).find("mine"), std::string::npos);
  EXPECT_NE(longest_tokens({text}).find("[mine]"), std::string::npos);
}

TEST_F(TokenizerTrainer, BytesAreThoseOfTheTextHoweverTheFileSpellsIt) {
  const std::string text = "从前有座山\n";
  for (const fs::path& from :
       {file("b.txt", text), file("b.jsonl", to_json_line(Json{{"text", text}}) + "\n"),
        file("b2.txt", text + "<|im_end|>")}) {
    const auto trained = train_tokenizer({from}, {.vocab = 300});
    ASSERT_TRUE(trained.has_value()) << trained.error().debug();
    EXPECT_EQ(trained->n_bytes, 16) << from;
    EXPECT_EQ(trained->bpe.n_tokens, 16) << from;  // no pair occurs twice
  }
}

TEST_F(TokenizerTrainer, WhatTheVocabularySpellsIsNoAddedToken) {
  const fs::path text = file("v.txt", " the the the the\n");
  const auto error = [&](const std::string& token) {
    const auto trained = train_tokenizer({text}, {.vocab = 300, .special = {token}});
    return trained ? std::string("none") : trained.error().code();
  };
  for (const char* token : {"~", "Ġ", "\u00e9", "Ġthe"})
    EXPECT_EQ(error(token), "tokenizer.bad_special") << token;
  // In the text itself it is the added token, so that no merge spells it; a space is no spelling of one.
  for (const char* token : {"the", " ", "Ġthen"}) EXPECT_EQ(error(token), "none") << token;
}

TEST_F(TokenizerTrainer, ErrorsSayWhere) {
  const auto error = [&](const std::string& name, const std::string& content, TokenizerOptions options = {}) {
    if (options.vocab == 0) options.vocab = 300;
    const auto trained = train_tokenizer({file(name, content)}, options);
    return trained ? std::string("none") : trained.error().debug();
  };
  EXPECT_TRUE(error("a.txt", "").starts_with("tokenizer.no_text"));
  EXPECT_TRUE(error("a.jsonl", "{\"text\": \"\"}\n").starts_with("tokenizer.no_text"));
  EXPECT_NE(error("a.txt", "good\nba\xff\n").find("line=2"), std::string::npos);
  EXPECT_TRUE(error("a.txt", "\xff").starts_with("tokenizer.not_utf8"));
  EXPECT_TRUE(error("a.jsonl", "{\"text\": \"x\"}\n\n{bad\n").starts_with("tokenizer.bad_line"));
  EXPECT_NE(error("a.jsonl", "{\"text\": \"x\"}\n\n{bad\n").find("line=3"), std::string::npos);
  for (const char* line : {"[]", "{}", "{\"text\": 1}", "{\"messages\": {}}", "{\"messages\": [1]}"})
    EXPECT_TRUE(error("a.jsonl", line).starts_with("tokenizer.bad_line")) << line;
  EXPECT_NE(error("a.txt", "x", {.vocab = 258}).find("least=259"), std::string::npos);
  EXPECT_TRUE(error("a.txt", "x", {.vocab = 300, .special = {"a\nb"}}).starts_with("tokenizer.bad_special"));
  // A failure far behind names its line in the file, not in its part.
  std::string large;
  while (large.size() < (size_t{3} << 20)) large += "{\"text\": \"a line of text\"}\n";
  const auto lines = std::count(large.begin(), large.end(), '\n');
  EXPECT_NE(error("a.jsonl", large + "{\n", {.threads = 3}).find("line=" + std::to_string(lines + 1)),
            std::string::npos);
}

}  // namespace
}  // namespace qw::train
