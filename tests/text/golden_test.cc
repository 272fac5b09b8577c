// One small BPE model under many pre-tokenizers, normalizers and flags, against the answers of HF tokenizers
// 0.23.1: tests/text/data/small_tokenizers.json, made by tools/tokenizer_goldens.py.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>

#include "base/json.h"
#include "base/mmap.h"
#include "text/tokenizer.h"

namespace qw {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

class SmallTokenizers : public testing::Test {
 protected:
  static const Json& golden() {
    static const Json json = *parse_json_file(QW_SOURCE_DIR "/tests/text/data/small_tokenizers.json");
    return json;
  }
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("qw_small_tokenizers_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // The model of a variant: the common one with members replaced, tokens taken out and put in.
  static Json model(const Json& variant) {
    Json out = golden()["model"];
    const Json& patch = variant["model"];
    for (const auto& [key, value] : patch.items()) {
      if (key != "without" && key != "plus") out[key] = value;
    }
    if (!patch.contains("without")) return out;
    for (const Json& token : patch["without"]) out["vocab"].erase(token.get<std::string>());
    for (const auto& [token, id] : patch["plus"].items()) out["vocab"][token] = id;
    Json merges = Json::array();
    for (const Json& merge : out["merges"]) {
      const auto left = merge[0].get<std::string>();
      const auto right = merge[1].get<std::string>();
      const Json& vocab = out["vocab"];
      if (vocab.contains(left) && vocab.contains(right) && vocab.contains(left + right))
        merges.push_back(merge);
    }
    out["merges"] = merges;
    return out;
  }

  // Writes tokenizer.json; merges as pairs, or as strings as older files have them.
  void write(const Json& variant, bool merge_strings) const {
    Json json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
    for (const char* key : {"added_tokens", "normalizer", "pre_tokenizer", "post_processor"}) {
      json[key] = variant["members"].contains(key) ? variant["members"][key] : Json(nullptr);
    }
    json["decoder"] = {{"type", "ByteLevel"}};
    json["model"] = model(variant);
    if (merge_strings) {
      for (Json& merge : json["model"]["merges"]) {
        merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
      }
    }
    ASSERT_TRUE(write_file_atomic(folder_ / "tokenizer.json", json.dump()));
  }

  static void expect_ids(const Tokenizer& t, const Json& variant) {
    const Json& texts = golden()["texts"];
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto text = texts[i].get<std::string>();
      const Json& ids = variant["ids"][i];
      EXPECT_EQ(t.encode(text), ids.get<Ids>()) << variant["name"] << " text " << i << ": " << texts[i];
      const std::string number = std::to_string(i);
      const Json& plain = variant["plain"].contains(number) ? variant["plain"][number] : ids;
      EXPECT_EQ(t.encode(text, {.parse_special = false}), plain.get<Ids>())
          << variant["name"] << " text " << i;
    }
  }

  fs::path folder_;
};

TEST_F(SmallTokenizers, IdsAndDecodingsEqualTheReference) {
  std::set<std::string> seen;
  for (const Json& variant : golden()["variants"]) {
    if (variant.contains("gguf_only")) continue;
    seen.insert(variant["name"].get<std::string>());
    for (const bool strings : {false, true}) {
      write(variant, strings);
      const auto t = Tokenizer::from_folder(folder_);
      ASSERT_TRUE(t) << variant["name"] << " " << t.error().debug();
      expect_ids(*t, variant);
      for (const Json& c : variant["decode"]) {
        EXPECT_EQ(t->decode(c[0].get<Ids>(), false), c[1]) << variant["name"] << " " << c[0];
        EXPECT_EQ(t->decode(c[0].get<Ids>(), true), c[2]) << variant["name"] << " " << c[0];
      }
      EXPECT_EQ(t->adds_bos(), variant["bos"].get<bool>()) << variant["name"];
    }
  }
  EXPECT_EQ(seen.size(), 14u);
}

TEST_F(SmallTokenizers, VocabAndMergesFilesGiveTheSame) {
  const std::map<std::string, std::string> classes = {{"qwen2", "Qwen2Tokenizer"},
                                                      {"gpt2", "GPT2TokenizerFast"}};
  int checked = 0;
  for (const Json& variant : golden()["variants"]) {
    const auto found = classes.find(variant["name"].get<std::string>());
    if (found == classes.end()) continue;
    const Json json = model(variant);
    std::string merges = "#version: 0.2\n";
    for (const Json& merge : json["merges"])
      merges += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
    Json decoder = Json::object();
    for (const Json& token : variant["members"]["added_tokens"])
      decoder[std::to_string(token["id"].get<int>())] = token;
    ASSERT_TRUE(write_file_atomic(folder_ / "vocab.json", json["vocab"].dump()));
    ASSERT_TRUE(write_file_atomic(folder_ / "merges.txt", merges));
    const Json config = {{"tokenizer_class", found->second}, {"added_tokens_decoder", decoder}};
    ASSERT_TRUE(write_file_atomic(folder_ / "tokenizer_config.json", config.dump()));
    const auto t = Tokenizer::from_folder(folder_);
    ASSERT_TRUE(t) << t.error().debug();
    expect_ids(*t, variant);
    ++checked;
  }
  EXPECT_EQ(checked, 2);
}

TEST_F(SmallTokenizers, GgufFormGivesTheSame) {
  int checked = 0;
  for (const Json& variant : golden()["variants"]) {
    if (!variant.contains("gguf")) continue;
    const Json json = model(variant);
    GgufTokenizerData g;
    g.file = "small.gguf";
    g.model = "gpt2";
    g.pre = variant["gguf"];
    g.add_bos = false;
    g.tokens.resize(json["vocab"].size());
    for (const auto& [token, id] : json["vocab"].items()) g.tokens[id.get<size_t>()] = token;
    g.token_types.assign(g.tokens.size(), 1);
    for (const Json& token : variant["members"]["added_tokens"]) {
      g.tokens.push_back(token["content"]);
      g.token_types.push_back(token["special"].get<bool>() ? 3 : 4);
    }
    for (const Json& merge : json["merges"])
      g.merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
    const auto t = Tokenizer::from_gguf(std::move(g));
    ASSERT_TRUE(t) << t.error().debug();
    expect_ids(*t, variant);
    ++checked;
  }
  EXPECT_EQ(checked, 6);
}

}  // namespace
}  // namespace qw
