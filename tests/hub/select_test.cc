#include "hub/select.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace qw::hub {
namespace {

Listing listing(std::string_view name, std::initializer_list<const char*> paths) {
  Listing out{.name = *parse_name(name)};
  int64_t size = 1000;
  for (const char* path : paths) out.files.push_back({.path = path, .size = size += 100});
  return out;
}

std::vector<std::string> chosen(const Listing& list, std::string_view index = "") {
  const auto selection = select_files(list, index);
  EXPECT_TRUE(selection.has_value()) << (selection ? "" : selection.error().debug());
  std::vector<std::string> out;
  if (selection)
    for (const RemoteFile& file : selection->files) out.push_back(file.path);
  std::sort(out.begin(), out.end());
  return out;
}

using Names = std::vector<std::string>;

TEST(Select, AFolderWithoutWhatIsNotNeeded) {
  const Listing list =
      listing("Qwen/Q", {".gitattributes", "LICENSE", "README.md", "config.json", "generation_config.json",
                         "merges.txt", "model.safetensors", "pytorch_model.bin", "onnx/model.onnx",
                         "figures/a.png", "tokenizer.json", "tokenizer_config.json", "vocab.json",
                         "model.fp16.safetensors", "modeling_qwen.py"});
  EXPECT_EQ(chosen(list),
            (Names{"LICENSE", "config.json", "generation_config.json", "merges.txt", "model.safetensors",
                   "tokenizer.json", "tokenizer_config.json", "vocab.json"}));
  EXPECT_EQ(select_files(list, "")->files.back().path, "model.safetensors");
  EXPECT_FALSE(index_wanted(list));
}

TEST(Select, TheShardsOfTheIndexAlone) {
  const Listing list =
      listing("Qwen/Q", {"config.json", "model-00001-of-00002.safetensors",
                         "model-00002-of-00002.safetensors", "model.safetensors.index.json",
                         "original/model-00001.safetensors", "old-00001-of-00002.safetensors"});
  ASSERT_TRUE(index_wanted(list));
  const std::string index =
      R"({"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}})";
  EXPECT_EQ(chosen(list, index), (Names{"config.json", "model-00001-of-00002.safetensors",
                                        "model-00002-of-00002.safetensors", "model.safetensors.index.json"}));
  EXPECT_EQ(select_files(list, R"({"weight_map":{"a":"gone.safetensors"}})").error().code(),
            "hub.missing_part");
  EXPECT_EQ(select_files(list, R"({"weight_map":{"a":"../../etc/passwd"}})").error().code(),
            "hub.missing_part");
  for (const char* bad : {"", "[]", "{}", R"({"weight_map":3})", R"({"weight_map":{"a":3}})"})
    EXPECT_EQ(select_files(list, bad).error().code(), "hub.bad_index") << bad;
}

TEST(Select, ASingleFileWinsOverAnOldIndex) {
  const Listing list = listing("Qwen/Q", {"config.json", "model-00001-of-00002.safetensors",
                                          "model.safetensors", "model.safetensors.index.json"});
  EXPECT_FALSE(index_wanted(list));
  EXPECT_EQ(chosen(list), (Names{"config.json", "model.safetensors"}));
}

// An FP8 release with 73,728 experts. Where every name is looked for among all, ctest ends this.
TEST(Select, AnIndexOfVeryManyTensors) {
  std::string index = R"({"metadata":{},"weight_map":{)";
  for (int i = 0; i < 6 * 73'728; ++i)
    index += fmt::format(R"({}"model.layers.{}.mlp.experts.{}.up_proj.weight":"model-{}.safetensors")",
                         i == 0 ? "" : ",", i / 1024, i % 1024, i % 7);
  const auto shards = index_shards(index + "}}");
  ASSERT_TRUE(shards);
  EXPECT_EQ(shards->size(), 7U);
  EXPECT_FALSE(index_shards(index));
  EXPECT_FALSE(index_shards(std::string(1'000'000, '[')));
}

TEST(Select, OneGgufOfSeveral) {
  const auto repo = [](std::string_view name) {
    return listing(name, {"LICENSE", "README.md", "q-mmproj-Q8_0.gguf", "q-Q2_K.gguf", "q-Q4_K_M.gguf",
                          "q-q8_0.gguf", "mmproj-F16.gguf", "BF16/q-BF16-00001-of-00002.gguf",
                          "BF16/q-BF16-00002-of-00002.gguf", "q-UD-Q4_K_XL.gguf", "imatrix_q.gguf"});
  };
  EXPECT_EQ(chosen(repo("o/q-GGUF")), (Names{"LICENSE", "q-Q4_K_M.gguf"}));
  EXPECT_EQ(chosen(repo("o/q-GGUF:Q8_0")), (Names{"LICENSE", "q-q8_0.gguf"}));
  EXPECT_EQ(chosen(repo("o/q-GGUF:ud-q4_k_xl")), (Names{"LICENSE", "q-UD-Q4_K_XL.gguf"}));
  EXPECT_EQ(chosen(repo("o/q-GGUF:bf16")),
            (Names{"BF16/q-BF16-00001-of-00002.gguf", "BF16/q-BF16-00002-of-00002.gguf", "LICENSE"}));
  EXPECT_EQ(select_files(repo("o/q-GGUF:bf16"), "")->model_file, "BF16/q-BF16-00001-of-00002.gguf");
  const auto none = select_files(repo("o/q-GGUF:Q3_K_S"), "");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), "hub.no_quant");
  EXPECT_NE(none.error().arg("known").find("Q4_K_M"), std::string::npos);
  EXPECT_EQ(none.error().arg("known").find("mmproj"), std::string::npos);
}

TEST(Select, WhatTellsAGgufFileFromTheOthers) {
  const auto repo = [](std::string_view name) {
    return listing(name, {"q-Q8_0.gguf", "q.gguf", "a/q-Q4_0.gguf", "b/q-q4_0.gguf"});
  };
  const auto variant = [&](const std::string& quant) {
    return select_files(repo("o/q:" + quant), "")->variant;
  };
  EXPECT_EQ(variant("Q8_0"), "Q8_0");
  const std::string first = variant("Q4_0");
  EXPECT_TRUE(first.starts_with("Q4_0.")) << first;
  EXPECT_EQ(chosen(repo("o/q:" + first)), (Names{"a/q-Q4_0.gguf"}));
  const std::string known(select_files(repo("o/q:Q6_K"), "").error().arg("known"));
  EXPECT_NE(known.find("b/q-q4_0.gguf"), std::string::npos) << known;
}

TEST(Select, APartThatIsMissingIsSaid) {
  EXPECT_EQ(select_files(listing("o/q", {"q-Q8_0-00001-of-00003.gguf", "q-Q8_0-00003-of-00003.gguf"}), "")
                .error()
                .code(),
            "hub.missing_part");
  EXPECT_EQ(select_files(listing("o/q", {"pytorch_model.bin", "config.json"}), "").error().arg("found"),
            "pytorch_model.bin");
  EXPECT_EQ(select_files(listing("o/q", {}), "").error().code(), "hub.no_weights");
}

TEST(Select, BothForms) {
  const auto repo = [](std::string_view name) {
    return listing(name, {"config.json", "model.safetensors", "q-Q4_0.gguf"});
  };
  EXPECT_EQ(chosen(repo("o/q")), (Names{"config.json", "model.safetensors"}));
  EXPECT_EQ(chosen(repo("o/q:Q4_0")), (Names{"q-Q4_0.gguf"}));
}

TEST(Select, QuantisationOfAName) {
  EXPECT_EQ(quant_of("Qwen3-0.6B-Q8_0.gguf"), "Q8_0");
  EXPECT_EQ(quant_of("qwen2.5-0.5b-instruct-q4_k_m.gguf"), "q4_k_m");
  EXPECT_EQ(quant_of("qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf"), "q4_k_m");
  EXPECT_EQ(quant_of("x.IQ4_XS.gguf"), "IQ4_XS");
  EXPECT_EQ(quant_of("Q4_K_M/x-00001-of-00003.gguf"), "Q4_K_M");
  EXPECT_EQ(quant_of("x-UD-IQ1_S.gguf"), "UD-IQ1_S");
  EXPECT_EQ(quant_of("x-BF16.gguf"), "BF16");
  EXPECT_EQ(quant_of("x-MXFP4_MOE.gguf"), "MXFP4_MOE");
  EXPECT_EQ(quant_of("Qwen3-0.6B.gguf"), "");
  EXPECT_EQ(quant_of("qwen.gguf"), "");
}

}  // namespace
}  // namespace qw::hub
