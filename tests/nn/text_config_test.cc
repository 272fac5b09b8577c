// Which text model a config embeds.
#include "nn/text_config.h"

#include <gtest/gtest.h>

namespace qw::nn {
namespace {

TEST(TextConfig, PlainConfigsComeBackAsTheyAre) {
  const Json plain{{"model_type", "qwen3"}, {"image_token_id", 7}, {"architectures", {"Other"}}};
  EXPECT_EQ(text_config(plain), plain);
  EXPECT_EQ(text_config(Json::array()), Json::array());
  EXPECT_EQ(text_config(Json{{"model_type", 3}})["model_type"], 3);
}

TEST(TextConfig, ANestedConfigDecidesWhateverTheOuterTypeIs) {
  const Json c = text_config({{"model_type", "somebody_elses_vl"},
                              {"tie_word_embeddings", true},
                              {"dtype", "bfloat16"},
                              {"vision_config", Json::object()},
                              {"text_config", {{"model_type", "qwen3_5_text"}, {"hidden_size", 64}}}});
  EXPECT_EQ(c, (Json{{"model_type", "qwen3_5_text"},
                     {"hidden_size", 64},
                     {"tie_word_embeddings", true},
                     {"dtype", "bfloat16"},
                     {"architectures", {"Qwen3_5ForCausalLM"}}}));
}

TEST(TextConfig, TheInnerConfigWins) {
  const Json c = text_config(
      {{"tie_word_embeddings", true},
       {"thinker_config",
        {{"text_config", {{"model_type", "qwen3_omni_moe_text"}, {"tie_word_embeddings", false}}}}}});
  EXPECT_EQ(c["model_type"], "qwen3_moe");
  EXPECT_EQ(c["tie_word_embeddings"], false);
}

TEST(TextConfig, FlatConfigsOfOldVisionModelsLoseTheOtherParts) {
  const Json c = text_config({{"model_type", "qwen2_vl"},
                              {"hidden_size", 8},
                              {"vision_config", {{"depth", 1}}},
                              {"vision_start_token_id", 3},
                              {"image_token_id", 4}});
  EXPECT_EQ(c, (Json{{"model_type", "qwen2"}, {"hidden_size", 8}, {"architectures", {"Qwen2ForCausalLM"}}}));
}

}  // namespace
}  // namespace qw::nn
