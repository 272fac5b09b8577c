// Names of the text model's tensors in checkpoints that hold more.
#include "io/hf/text_part.h"

#include <gtest/gtest.h>

namespace qw {
namespace {

TEST(TextPart, NamesAreThoseOfTheTextModelAlone) {
  const std::pair<const char*, const char*> rows[]{
      {"model.language_model.layers.0.linear_attn.A_log", "model.layers.0.linear_attn.A_log"},
      {"language_model.model.norm.weight", "model.norm.weight"},
      {"language_model.lm_head.weight", "lm_head.weight"},
      {"thinker.model.embed_tokens.weight", "model.embed_tokens.weight"},
      {"thinker.lm_head.weight", "lm_head.weight"},
      {"model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"},
      {"mtp.fc.weight", "mtp.fc.weight"},
      {"lm_head.weight", "lm_head.weight"},
      {"visually.weight", "visually.weight"}};
  for (const auto& [stored, name] : rows) EXPECT_EQ(text_tensor_name(stored), name) << stored;
}

TEST(TextPart, OtherPartsHaveNone) {
  for (const char* name : {"model.visual.blocks.0.attn.qkv.weight", "visual.merger.ln_q.weight",
                           "thinker.audio_tower.conv1.weight", "talker.model.norm.weight", "code2wav.x",
                           "token2wav.y", "thinker.visual.pos_embed.weight"})
    EXPECT_EQ(text_tensor_name(name), std::nullopt) << name;
  EXPECT_EQ(other_part("thinker.visual.pos_embed.weight"), "thinker.visual");
  EXPECT_EQ(other_part("model.norm.weight"), "");
}

}  // namespace
}  // namespace qw
