// Every config.json of a released model in data/configs parses, and the model it describes has the shapes of
// the reference: the number of its parameters is the one transformers counts, which head_dim, biases, tying
// and GQA all enter.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "models/model.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

struct Released {
  int64_t parameters;
  int n_layers, kv_heads, head_dim, max_positions;  // kv_heads 0: layers of several kinds
  std::string unknown_key;                          // the one warning expected
};

const std::map<std::string, Released>& released() {
  static const std::map<std::string, Released> table{
      {"CodeQwen1.5-7B-Chat", {7250284544, 32, 4, 128, 65536, ""}},
      {"Llama-3.1-405B", {405853388800, 126, 8, 128, 131072, ""}},
      {"Llama-3.1-70B", {70553706496, 80, 8, 128, 131072, ""}},
      {"Llama-3.1-8B", {8030261248, 32, 8, 128, 131072, ""}},
      {"Llama-3.2-1B-Instruct", {1235814400, 16, 8, 64, 131072, ""}},
      {"Llama-3.2-3B-Instruct", {3212749824, 28, 8, 128, 131072, ""}},
      {"QwQ-32B-Preview", {32763876352, 64, 8, 128, 32768, ""}},
      {"Qwen-72B", {72287920128, 80, 64, 128, 8192, ""}},
      {"Qwen-7B-Chat", {7721324544, 32, 32, 128, 6144, ""}},
      {"Qwen1.5-MoE-A2.7B-Chat", {14315784192, 24, 16, 128, 32768, ""}},
      {"Qwen2-57B-A14B", {57408658944, 28, 4, 128, 131072, ""}},
      {"Qwen3-235B-A22B", {235093634560, 94, 4, 128, 40960, ""}},
      {"Qwen3-30B-A3B", {30532122624, 48, 4, 128, 40960, ""}},
      {"Qwen3-Coder-480B-A35B-Instruct", {480154875392, 62, 8, 128, 262144, ""}},
      {"Qwen3-Embedding-0.6B", {595776512, 28, 8, 128, 32768, ""}},
      {"Qwen3-Next-80B-A3B", {79674391296, 48, 0, 0, 32768, ""}},
      {"Qwen3.5-122B-A10B", {122111526912, 48, 0, 0, 262144, ""}},
      {"Qwen3.5-27B", {26895998464, 64, 0, 0, 262144, ""}},
      {"Qwen3.5-35B-A3B", {34660610688, 40, 0, 0, 262144, ""}},
      {"Qwen3.5-397B-A17B", {396346350336, 60, 0, 0, 262144, ""}},
      {"Qwen3.6-27B", {26895998464, 64, 0, 0, 262144, ""}},
      {"Qwen3.6-35B-A3B", {34660610688, 40, 0, 0, 262144, ""}},
      {"Qwen1.5-0.5B-Chat", {463987712, 24, 16, 64, 32768, ""}},
      {"Qwen1.5-110B-Chat", {111209914368, 80, 8, 128, 32768, ""}},
      {"Qwen1.5-72B-Chat", {72287920128, 80, 64, 128, 32768, ""}},
      {"Qwen2-0.5B", {494032768, 24, 2, 64, 131072, ""}},
      {"Qwen2-72B", {72706203648, 80, 8, 128, 131072, ""}},
      {"Qwen2-72B-Instruct", {72706203648, 80, 8, 128, 32768, ""}},
      {"Qwen2-7B-Instruct", {7615616512, 28, 4, 128, 32768, ""}},
      {"Qwen2.5-0.5B-Instruct", {494032768, 24, 2, 64, 32768, ""}},
      {"Qwen2.5-1.5B-Instruct", {1543714304, 28, 2, 128, 32768, ""}},
      {"Qwen2.5-14B-Instruct", {14770033664, 48, 8, 128, 32768, ""}},
      {"Qwen2.5-32B", {32763876352, 64, 8, 128, 131072, ""}},
      {"Qwen2.5-3B-Instruct", {3085938688, 36, 2, 128, 32768, ""}},
      {"Qwen2.5-7B-Instruct", {7615616512, 28, 4, 128, 32768, ""}},
      {"Qwen2.5-7B-Instruct-1M", {7615616512, 28, 4, 128, 1010000, "dual_chunk_attention_config"}},
      {"Qwen2.5-Coder-32B-Instruct", {32763876352, 64, 8, 128, 32768, ""}},
      {"Qwen3-0.6B", {596049920, 28, 8, 128, 40960, ""}},
      {"Qwen3-1.7B", {1720574976, 28, 8, 128, 40960, ""}},
      {"Qwen3-32B", {32762123264, 64, 8, 128, 40960, ""}},
      {"Qwen3-4B-2507", {4022468096, 36, 8, 128, 262144, ""}},
      {"Qwen3-8B", {8190735360, 36, 8, 128, 40960, ""}},
      {"SmolLM2-1.7B-Instruct", {1711376384, 24, 32, 64, 8192, ""}},
      {"SmolLM2-360M-Instruct", {361821120, 32, 5, 64, 8192, "_attn_implementation_autoset"}},
  };
  return table;
}

fs::path config_folder() {
  return fs::path(QW_SOURCE_DIR) / "tests" / "models" / "data" / "configs";
}

class Count : public Visitor {
 public:
  int64_t parameters = 0;

 protected:
  // The layers that only predict further tokens are not counted by the reference either.
  void on_weight(Weight& w, ShardAxis) override {
    if (w.name.find("mtp.") == std::string::npos) parameters += w.shape.elements();
  }
};

TEST(ReleasedConfigs, TheTableNamesEveryFile) {
  std::set<std::string> files, named;
  for (const fs::directory_entry& e : fs::directory_iterator(config_folder()))
    if (e.path().extension() == ".json") files.insert(e.path().stem().string());
  for (const auto& [name, want] : released()) named.insert(name);
  EXPECT_EQ(files, named);
}

// One model of each kind, with heads wider than any kernel takes.
TEST(ReleasedConfigs, RefusesHeadsThatAreTooWide) {
  for (const auto& [name, key] : {std::pair("Qwen3-0.6B", "head_dim"),
                                  {"Qwen3-30B-A3B", "head_dim"},
                                  {"Qwen3-Next-80B-A3B", "head_dim"},
                                  {"Qwen-7B-Chat", "kv_channels"}}) {
    Json config = parse_json_file(config_folder() / fmt::format("{}.json", name)).value();
    config[key] = 4096;
    const auto made = make_model(config);
    ASSERT_FALSE(made.has_value()) << name;
    EXPECT_EQ(made.error().debug(), fmt::format("config.range key={} found=4096", key)) << name;
  }
}

class ReleasedConfig : public testing::TestWithParam<std::string> {};

TEST_P(ReleasedConfig, GivesTheModelOfTheReference) {
  const Released& want = released().at(GetParam());
  auto json = parse_json_file(config_folder() / (GetParam() + ".json"));
  ASSERT_TRUE(json) << json.error().debug();
  if (json->contains("text_config")) *json = Json((*json)["text_config"]);
  const auto made = make_model(*json);
  ASSERT_TRUE(made) << made.error().debug();
  const ModelInfo& info = made->model->info();
  EXPECT_EQ(info.n_layers, want.n_layers);
  EXPECT_EQ(info.max_positions, want.max_positions);
  Count count;
  made->model->visit(count);
  EXPECT_EQ(count.parameters, want.parameters);
  for (const LayerCache& layer : made->model->cache_spec()) {
    if (want.kv_heads == 0) continue;
    ASSERT_EQ(layer.size(), 1U);
    // every released dense model has use_sliding_window false, whatever sliding_window says
    EXPECT_EQ(layer[0], (CacheSpec{CacheSpec::Kind::paged, want.kv_heads, want.head_dim, 0, 0}));
  }
  std::string unknown;
  for (const Error& w : made->warnings) unknown += w.arg("key");
  EXPECT_EQ(unknown, want.unknown_key);
}

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const auto& [name, want] : released()) out.push_back(name);
  return out;
}

INSTANTIATE_TEST_SUITE_P(Hub, ReleasedConfig, testing::ValuesIn(names()), [](const auto& param) {
  std::string name = param.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '.' || c == '-'; }, '_');
  return name;
});

}  // namespace
}  // namespace qw
