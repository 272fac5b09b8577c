#include "hub/catalogue.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/json.h"

namespace qw::hub {
namespace {

namespace fs = std::filesystem;

TEST(Catalogue, EveryRowIsWholeAndItsNamesAreNames) {
  const Catalogue catalogue = load_catalogue();
  EXPECT_GE(catalogue.models.size(), 80U);
  EXPECT_EQ(catalogue.date.size(), 10U);
  std::set<std::string> names;
  for (const CatalogueModel& m : catalogue.models) {
    EXPECT_TRUE(names.insert(m.name).second) << m.name;
    EXPECT_NE(m.name.find(':'), std::string::npos) << m.name;
    EXPECT_TRUE(parse_name(m.repo)) << m.repo;
    EXPECT_EQ(m.gguf.empty(), m.quant.empty()) << m.name;
    EXPECT_FALSE(m.licence.empty()) << m.name;
    EXPECT_GT(m.parameters, 100'000'000) << m.name;
    EXPECT_GE(m.parameters, m.active) << m.name;
    EXPECT_TRUE(std::set<std::string>({"chat", "code", "base", "embed", "rerank"}).contains(m.kind))
        << m.name;
    EXPECT_TRUE(catalogue.pull_name(m.name)) << m.name;
    // Qwen's names say the number of parameters.
    const size_t size = m.name.find(':') + 1;
    if (m.name.starts_with("q") && !m.name.substr(size).starts_with("moe")) {
      EXPECT_NEAR(std::stod(m.name.substr(size)) * 1e9, static_cast<double>(m.parameters),
                  0.1 * static_cast<double>(m.parameters))
          << m.name;
    }
  }
}

TEST(Catalogue, FormatsBehindAName) {
  const Catalogue c = load_catalogue();
  EXPECT_EQ(c.pull_name("qwen3:0.6b")->text(), "Qwen/Qwen3-0.6B-GGUF:Q8_0");
  EXPECT_EQ(c.pull_name("Qwen3:0.6B")->text(), "Qwen/Qwen3-0.6B-GGUF:Q8_0");
  EXPECT_EQ(c.pull_name("qwen3:4b-q6_k")->text(), "Qwen/Qwen3-4B-GGUF:q6_k");
  EXPECT_EQ(c.pull_name("qwen3:4b-bf16")->text(), "Qwen/Qwen3-4B");
  EXPECT_EQ(c.pull_name("qwen3-coder:30b-a3b")->text(), "Qwen/Qwen3-Coder-30B-A3B-Instruct");
  EXPECT_EQ(c.pull_name("qwen3:4b-instruct-2507")->text(), "Qwen/Qwen3-4B-Instruct-2507");
  EXPECT_FALSE(c.pull_name("qwen3-coder:30b-a3b-q4_k_m"));  // no GGUF of the publisher
  EXPECT_FALSE(c.pull_name("qwen3"));
  EXPECT_FALSE(c.pull_name("qwen9:1b"));
  EXPECT_EQ(c.stored_names("qwen3:4b"),
            (std::vector<std::string>{"Qwen/Qwen3-4B-GGUF:Q4_K_M", "Qwen/Qwen3-4B-GGUF", "Qwen/Qwen3-4B"}));
  EXPECT_NE(c.family_of("qwen3:5b").find("qwen3:4b"), std::string::npos);
  EXPECT_EQ(c.family_of("unknown"), "");
}

// Where the config.json of a released model is among the test data, the catalogue agrees with it.
TEST(Catalogue, AgreesWithTheConfigsThatAreHere) {
  const fs::path folder = fs::path(QW_SOURCE_DIR) / "tests/models/data/configs";
  int n_checked = 0;
  for (const CatalogueModel& m : load_catalogue().models) {
    const fs::path file = folder / (m.repo.substr(m.repo.find('/') + 1) + ".json");
    if (!fs::exists(file)) continue;
    Json config = parse_json_file(file).value();
    if (config.contains("text_config")) config = Json(config["text_config"]);
    ++n_checked;
    if (m.context > 0) {
      EXPECT_EQ(config.at("max_position_embeddings"), m.context) << m.name;
    }
    int64_t layers = config.at("num_hidden_layers").get<int64_t>();
    if (config.contains("full_attention_interval"))
      layers /= config["full_attention_interval"].get<int64_t>();
    const int64_t heads = config.at("num_attention_heads").get<int64_t>();
    const int64_t kv_heads = config.value("num_key_value_heads", heads);
    int64_t head_dim = config.at("hidden_size").get<int64_t>() / heads;
    if (config.contains("head_dim") && config["head_dim"].is_number())
      head_dim = config["head_dim"].get<int64_t>();
    if (m.kv_bytes_per_token >= 0) {
      EXPECT_EQ(m.kv_bytes_per_token, 4 * layers * kv_heads * head_dim) << m.name;
    }
  }
  EXPECT_GE(n_checked, 15);
}

}  // namespace
}  // namespace qw::hub
