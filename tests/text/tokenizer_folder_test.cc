// What a folder may hold: refusals of tokenizer.json by name, and the small files beside it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/json.h"
#include "base/mmap.h"
#include "text/tokenizer.h"

namespace qw {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

class TokenizerFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("qw_tokenizer_folder_" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static Json added(const char* content, bool special) {
    return {{"id", 0},         {"content", content},  {"single_word", false}, {"lstrip", false},
            {"rstrip", false}, {"normalized", false}, {"special", special}};
  }
  static Json base() {
    return {{"version", "1.0"},
            {"added_tokens", Json::array({added("<s>", true)})},
            {"normalizer", nullptr},
            {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
            {"post_processor", nullptr},
            {"decoder", {{"type", "ByteLevel"}}},
            {"model",
             {{"type", "BPE"},
              {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}},
              {"merges", Json::array({Json::array({"a", "b"})})}}}};
  }
  void put(const char* name, const std::string& content) {
    fs::create_directories((folder_ / name).parent_path());
    ASSERT_TRUE(write_file_atomic(folder_ / name, content));
  }
  Result<Tokenizer> load(const Json& json) {
    put("tokenizer.json", json.dump());
    return Tokenizer::from_folder(folder_);
  }
  // Puts `value` at `pointer` and expects the error.
  void refused(const char* pointer, const Json& value, std::string_view code, std::string_view arg,
               std::string_view says) {
    Json json = base();
    json[Json::json_pointer(pointer)] = value;
    const auto t = load(json);
    ASSERT_FALSE(t) << pointer << " " << value;
    EXPECT_EQ(t.error().code(), code) << t.error().debug();
    EXPECT_EQ(t.error().arg(arg), says) << t.error().debug();
    EXPECT_NE(t.error().arg("file"), "") << t.error().debug();
  }

  fs::path folder_;
};

TEST_F(TokenizerFolder, RefusesByName) {
  refused("/model/type", "Unigram", "text.unsupported", "value", "Unigram");
  refused("/model/type", "WordPiece", "text.unsupported", "value", "WordPiece");
  refused("/model/dropout", 0.1, "text.unsupported", "key", "model.dropout");
  refused("/model/continuing_subword_prefix", "##", "text.unsupported", "value", "##");
  refused("/model/end_of_word_suffix", "</w>", "text.unsupported", "value", "</w>");
  refused("/model/byte_fallback", true, "text.unsupported", "key", "model.byte_fallback");
  refused("/model/unk_token", "<unk>", "text.unsupported", "key", "model.unk_token");
  refused("/normalizer", {{"type", "Lowercase"}}, "text.unsupported", "value", "Lowercase");
  refused("/pre_tokenizer", nullptr, "text.unsupported", "key", "pre_tokenizer");
  refused("/pre_tokenizer", {{"type", "Metaspace"}}, "text.unsupported", "value", "Metaspace");
  refused("/pre_tokenizer", {{"type", "Digits"}}, "text.unsupported", "value", "without ByteLevel");
  refused("/decoder", {{"type", "WordPiece"}}, "text.unsupported", "key", "decoder");
  refused("/decoder", nullptr, "text.unsupported", "key", "decoder");
  refused("/post_processor", {{"type", "BertProcessing"}}, "text.unsupported", "value", "BertProcessing");
  const Json regex = {
      {"type", "Split"}, {"pattern", {{"Regex", "x+"}}}, {"behavior", "Isolated"}, {"invert", false}};
  refused("/pre_tokenizer", regex, "text.unknown_regex", "regex", "x+");
}

TEST_F(TokenizerFolder, RefusesDamage) {
  refused("/model/vocab/b", -1, "text.bad_id", "token", "b");
  refused("/model/vocab/b", 0, "text.bad_id", "token", "b");
  refused("/model/vocab/b", 4000000, "text.bad_id", "token", "b");
  refused("/model/vocab/b", "1", "text.bad_id", "token", "b");
  refused("/model/merges/0", Json::array({"a", "c"}), "text.merge_unknown", "token", "c");
  refused("/model/merges/0", Json::array({"b", "a"}), "text.merge_unknown", "token", "ba");
  refused("/model/merges/0", Json::array({"a"}), "text.bad_merge", "line", "1");
  refused("/model/merges/0", "ab", "text.bad_merge", "line", "1");
  refused("/model/merges", "ab", "text.json", "key", "model.merges");
  refused("/model", 7, "text.json", "key", "model");
  refused("/added_tokens", 7, "text.json", "key", "added_tokens");
  refused("/pre_tokenizer/use_regex", 7, "text.json", "key", "pre_tokenizer.use_regex");
  const std::string whole = base().dump();
  for (size_t n = 0; n < whole.size(); n += 3) {
    put("tokenizer.json", whole.substr(0, n));
    EXPECT_FALSE(Tokenizer::from_folder(folder_)) << n;
  }
}

TEST_F(TokenizerFolder, ThePostProcessorSaysWhetherBosIsAdded) {
  Json json = base();
  const auto with_id = [&](int id) {
    json["post_processor"] = {{"type", "TemplateProcessing"},
                              {"single", Json::array({{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}}})},
                              {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", Json::array({id})}}}}}};
    return load(json);
  };
  const auto t = with_id(3);
  ASSERT_TRUE(t) << t.error().debug();
  EXPECT_TRUE(t->adds_bos());
  EXPECT_EQ(t->encode("a", {.add_bos = true}), (Ids{3, 0}));
  EXPECT_EQ(t->encode("a"), (Ids{0}));
  const auto none = with_id(9);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), "text.bad_id");
}

TEST_F(TokenizerFolder, SaysWhatIsMissing) {
  auto t = Tokenizer::from_folder(folder_);
  ASSERT_FALSE(t);
  EXPECT_EQ(t.error().code(), "text.no_tokenizer");
  put("tokenizer.model", "x");
  t = Tokenizer::from_folder(folder_);
  ASSERT_FALSE(t);
  EXPECT_EQ(t.error().code(), "text.unsupported");
}

TEST_F(TokenizerFolder, OlderFilesNeedNoType) {
  Json json = base();
  json["model"].erase("type");
  const auto t = load(json);
  ASSERT_TRUE(t) << t.error().debug();
  EXPECT_EQ(t->encode("ab<s>b"), (Ids{2, 3, 1}));
}

TEST_F(TokenizerFolder, NamedTokensAndTemplates) {
  put("tokenizer_config.json",
      R"({"bos_token": "<s>", "eos_token": {"content": "<e>", "lstrip": false}, "pad_token": null,
          "image_token": "<img>", "extra_special_tokens": {"video_token": "<vid>"},
          "chat_template": [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]})");
  auto t = load(base());
  ASSERT_TRUE(t) << t.error().debug();
  EXPECT_EQ(t->bos_id(), 3);
  EXPECT_EQ(t->eos_id(), 4);  // not in tokenizer.json: numbered behind the others, as transformers does
  EXPECT_FALSE(t->pad_id());
  EXPECT_EQ(t->named_token("image_token"), "<img>");
  EXPECT_EQ(t->named_token("video_token"), "<vid>");
  EXPECT_FALSE(t->named_token("pad_token"));
  ASSERT_EQ(t->chat_templates().size(), 2u);
  EXPECT_EQ(t->chat_templates()[1].name, "tool_use");
  EXPECT_EQ(t->chat_templates()[1].source, "T");
  // Files win over the config, all of it; line ends are read as Python reads text.
  put("chat_template.jinja", "J\r\n");
  t = Tokenizer::from_folder(folder_);
  ASSERT_EQ(t->chat_templates().size(), 1u);
  EXPECT_EQ(t->chat_templates()[0].source, "J\n");
  put("additional_chat_templates/rag.jinja", "R");
  t = Tokenizer::from_folder(folder_);
  ASSERT_EQ(t->chat_templates().size(), 2u);
  EXPECT_EQ(t->chat_templates()[1].name, "rag");
}

TEST_F(TokenizerFolder, OlderFoldersNameTokensInTheMap) {
  put("special_tokens_map.json",
      R"({"eos_token": {"content": "<s>"}, "additional_special_tokens": ["<x>"]})");
  put("added_tokens.json", R"({"<x>": 4, "<y>": 5})");
  const auto t = load(base());
  ASSERT_TRUE(t) << t.error().debug();
  EXPECT_EQ(t->eos_id(), 3);
  EXPECT_EQ(t->id_of("<x>"), 4);
  EXPECT_EQ(t->id_of("<y>"), 5);
  EXPECT_TRUE(t->is_special(4));
  EXPECT_FALSE(t->is_special(5));
}

TEST_F(TokenizerFolder, AddedTokensOfTheConfigAreAdded) {
  put("tokenizer_config.json", R"({"added_tokens_decoder": {"3": {"content": "<s>", "special": true},
                                   "5": {"content": "<q>", "special": false, "rstrip": true}, "4": {"content": "<p>", "special": true}}})");
  const auto t = load(base());
  ASSERT_TRUE(t) << t.error().debug();
  EXPECT_EQ(t->encode("a<q>  b<p>"), (Ids{0, 5, 1, 4}));
}

TEST_F(TokenizerFolder, ConfigErrorsNameTheFile) {
  for (const char* bad :
       {"[]", "{", R"({"chat_template": 7})", R"({"added_tokens_decoder": []})",
        R"({"added_tokens_decoder": {"x": {"content": "a"}}})", R"({"chat_template": [{"name": "a"}]})"}) {
    put("tokenizer_config.json", bad);
    const auto t = load(base());
    ASSERT_FALSE(t) << bad;
    EXPECT_NE(t.error().arg("file").find("tokenizer_config.json"), std::string_view::npos)
        << t.error().debug();
  }
}

}  // namespace
}  // namespace qw
