#include "tests/e2e/scripted_model.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "io/hf/safetensors_writer.h"
#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

constexpr int kHeads = 2, kHeadDim = 8;

void write_json(const std::filesystem::path& file, const Json& json) {
  std::ofstream(file) << json.dump();
}

// The bytes and the added tokens; ids by content.
std::map<std::string, int> write_tokenizer(const std::filesystem::path& folder, const Script& script,
                                           const std::string& chat_template) {
  // Of an earlier script: no tokenizer is written over.
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"}) std::filesystem::remove(folder / file);
  std::ofstream(folder / "corpus.txt") << "x";
  std::ofstream(folder / "chat.txt") << chat_template;
  const Ran ran = qw({"train-tokenizer", "--vocab", "259", "--out", folder.string(), "--template",
                      (folder / "chat.txt").string(), (folder / "corpus.txt").string()});
  EXPECT_EQ(ran.status, 0) << ran.err;
  Json tokenizer = Json::parse(std::ifstream(folder / "tokenizer.json"));
  std::map<std::string, int> ids{{"<|im_end|>", 258}};
  const auto add = [&](const std::string& content) {
    const int id = static_cast<int>(tokenizer["added_tokens"].size()) + 256;
    if (!ids.try_emplace(content, id).second) return;
    Json token = tokenizer["added_tokens"][0];
    token["id"] = id;
    token["content"] = content;
    token["special"] = false;
    tokenizer["added_tokens"].push_back(token);
  };
  for (const auto& [token, next] : script) {
    add(token);
    add(next);
  }
  write_json(folder / "tokenizer.json", tokenizer);
  return ids;
}

}  // namespace

void write_scripted_model(const std::filesystem::path& folder, const Script& script,
                          const std::string& chat_template, int ffn) {
  std::filesystem::create_directories(folder);
  const std::map<std::string, int> ids = write_tokenizer(folder, script, chat_template);
  const int n = (256 + 3 + static_cast<int>(ids.size()) + 31) / 32 * 32;  // hidden size and vocabulary
  write_json(folder / "config.json", {{"model_type", "llama"},
                                      {"hidden_size", n},
                                      {"vocab_size", n},
                                      {"num_hidden_layers", 1},
                                      {"num_attention_heads", kHeads},
                                      {"num_key_value_heads", kHeads},
                                      {"head_dim", kHeadDim},
                                      {"intermediate_size", ffn},
                                      {"hidden_act", "silu"},
                                      {"max_position_embeddings", 2048},
                                      {"rms_norm_eps", 1e-6},
                                      {"rope_theta", 10000.0},
                                      {"attention_bias", false},
                                      {"mlp_bias", false},
                                      {"tie_word_embeddings", false},
                                      {"bos_token_id", nullptr},
                                      {"eos_token_id", 258}});
  const std::string layer = "model.layers.0.";
  std::vector<SafetensorsPlan> plans{{"model.embed_tokens.weight", "F32", {n, n}},
                                     {"lm_head.weight", "F32", {n, n}},
                                     {"model.norm.weight", "F32", {n}},
                                     {layer + "input_layernorm.weight", "F32", {n}},
                                     {layer + "post_attention_layernorm.weight", "F32", {n}},
                                     {layer + "self_attn.o_proj.weight", "F32", {n, kHeads * kHeadDim}},
                                     {layer + "mlp.gate_proj.weight", "F32", {ffn, n}},
                                     {layer + "mlp.up_proj.weight", "F32", {ffn, n}},
                                     {layer + "mlp.down_proj.weight", "F32", {n, ffn}}};
  for (const char* name : {"q_proj", "k_proj", "v_proj"})
    plans.push_back({layer + "self_attn." + name + ".weight", "F32", {kHeads * kHeadDim, n}});
  auto writer = SafetensorsWriter::create(folder / "model.safetensors", plans);
  ASSERT_TRUE(writer) << writer.error().debug();
  for (size_t p = 0; p < plans.size(); ++p) {
    size_t size = 1;
    for (const int64_t extent : plans[p].shape) size *= static_cast<size_t>(extent);
    const auto width = static_cast<size_t>(n);
    std::vector<float> values(size, plans[p].shape.size() == 1 ? 1.0F : 0.0F);
    if (p == 0)
      for (size_t i = 0; i < width; ++i) values[i * width + i] = 1.0F;
    if (p == 1)
      for (const auto& [token, next] : script)
        values[static_cast<size_t>(ids.at(next)) * width + static_cast<size_t>(ids.at(token))] = 1.0F;
    ASSERT_TRUE(writer->write(p, 0, std::span<const float>(values)));
  }
  ASSERT_TRUE(writer->finish());
}

}  // namespace qw::e2e
