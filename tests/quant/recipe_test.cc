// The mixtures give each tensor what llama.cpp's published rules say; rows that fill no block of 256 get its
// substitutes.
#include "quant/recipe.h"

#include <gtest/gtest.h>

namespace qw::quant {
namespace {

using Q = QuantFormat;

ModelFacts dense(int layers, bool output, int64_t heads = 8, int64_t kv_heads = 8) {
  ModelFacts f;
  f.heads = heads;
  f.kv_heads = kv_heads;
  f.tensors = {"token_embd.weight", "output_norm.weight"};
  if (output) f.tensors.emplace_back("output.weight");
  for (int i = 0; i < layers; ++i)
    for (const char* part : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
      f.tensors.push_back(fmt::format("blk.{}.{}.weight", i, part));
  return f;
}

TEST(Recipe, EachNameIsFoundAndNamesItsTypeOnce) {
  for (const Recipe& r : recipes()) EXPECT_EQ(find_recipe(r.name), &r);
  EXPECT_EQ(find_recipe("q9_k"), nullptr);
}

TEST(Recipe, FourBitsMedium) {
  const FormatChooser c(*find_recipe("q4_k_m"), dense(16, true));
  EXPECT_EQ(c.choose("output.weight", 512), Q::q6_k);
  EXPECT_EQ(c.choose("token_embd.weight", 512), Q::q4_k);
  EXPECT_EQ(c.choose("blk.5.attn_q.weight", 512), Q::q4_k);
  // The first and last eighth, and every third between.
  for (int i = 0; i < 16; ++i) {
    const bool more = i < 2 || i >= 14 || (i - 2) % 3 == 2;
    EXPECT_EQ(c.choose(fmt::format("blk.{}.ffn_down.weight", i), 512), more ? Q::q6_k : Q::q4_k) << i;
    EXPECT_EQ(c.choose(fmt::format("blk.{}.attn_v.weight", i), 512), more ? Q::q6_k : Q::q4_k) << i;
  }
}

TEST(Recipe, ATiedEmbeddingCountsAsTheOutput) {
  EXPECT_EQ(FormatChooser(*find_recipe("q4_k_m"), dense(4, false)).choose("token_embd.weight", 512), Q::q6_k);
  EXPECT_EQ(FormatChooser(*find_recipe("q4_0"), dense(4, false)).choose("token_embd.weight", 512), Q::q6_k);
  EXPECT_EQ(FormatChooser(*find_recipe("q8_0"), dense(4, false)).choose("token_embd.weight", 512), Q::q8_0);
}

TEST(Recipe, HeadsThatShareValuesGetMoreBits) {
  EXPECT_EQ(FormatChooser(*find_recipe("q2_k"), dense(8, true)).choose("blk.0.attn_v.weight", 256), Q::q3_k);
  EXPECT_EQ(FormatChooser(*find_recipe("q2_k"), dense(8, true, 8, 2)).choose("blk.0.attn_v.weight", 256),
            Q::q4_k);
  EXPECT_EQ(FormatChooser(*find_recipe("iq4_xs"), dense(8, true, 8, 2)).choose("blk.0.attn_v.weight", 256),
            Q::q5_k);
}

TEST(Recipe, ValuesAreCountedOverTheLayersThatHaveThem) {
  ModelFacts f = dense(16, true);  // every fourth layer attends, as in the hybrids
  std::erase_if(f.tensors, [](const std::string& n) {
    return n.find("attn_v") != n.npos && std::stoi(n.substr(4)) % 4 != 3;
  });
  const FormatChooser c(*find_recipe("q3_k_m"), f);
  EXPECT_EQ(c.choose("blk.3.attn_v.weight", 256), Q::q5_k);
  EXPECT_EQ(c.choose("blk.7.attn_v.weight", 256), Q::q5_k);
  EXPECT_EQ(c.choose("blk.11.attn_v.weight", 256), Q::q4_k);
}

TEST(Recipe, AnImportanceMatrixChangesWhatIsSpared) {
  ModelFacts f = dense(16, true);
  EXPECT_EQ(FormatChooser(*find_recipe("iq4_xs"), f).choose("blk.0.ffn_down.weight", 256), Q::q5_k);
  f.importance = true;
  EXPECT_EQ(FormatChooser(*find_recipe("iq4_xs"), f).choose("blk.0.ffn_down.weight", 256), Q::iq4_xs);
  EXPECT_EQ(FormatChooser(*find_recipe("q4_0"), f).choose("blk.0.ffn_down.weight", 256), Q::q4_1);
}

TEST(Recipe, SubstitutesForRowsThatFillNoBlock) {
  const FormatChooser c(*find_recipe("q4_k_m"), dense(4, true));
  EXPECT_EQ(c.choose("blk.1.attn_q.weight", 576), Q::q5_0);
  EXPECT_EQ(c.choose("output.weight", 576), Q::q8_0);
  EXPECT_EQ(c.choose("output.weight", 24), Q::f16);
  EXPECT_EQ(FormatChooser(*find_recipe("q3_k_s"), dense(4, true)).choose("blk.1.attn_q.weight", 576),
            Q::iq4_nl);
  EXPECT_EQ(FormatChooser(*find_recipe("tq2_0"), dense(4, true)).choose("blk.1.attn_q.weight", 576), Q::q4_0);
}

TEST(Recipe, WhatNoRecipeTouches) {
  const int64_t matrix[] = {4, 256}, vector[] = {256}, stack[] = {8, 4, 256};
  EXPECT_TRUE(FormatChooser::keeps("blk.0.attn_norm.weight", vector));
  EXPECT_TRUE(FormatChooser::keeps("blk.0.attn_q.bias", vector));
  EXPECT_TRUE(FormatChooser::keeps("blk.0.ffn_gate_inp.weight", matrix));
  EXPECT_TRUE(FormatChooser::keeps("blk.0.ffn_gate_inp_shexp.weight", matrix));
  EXPECT_TRUE(FormatChooser::keeps("blk.0.ssm_conv1d.weight", matrix));
  EXPECT_TRUE(FormatChooser::keeps("blk.0.ssm_norm.weight", matrix));
  EXPECT_FALSE(FormatChooser::keeps("blk.0.ffn_down_exps.weight", stack));
  EXPECT_FALSE(FormatChooser::keeps("blk.0.nextn.eh_proj.weight", matrix));
  const FormatChooser c(*find_recipe("mxfp4_moe"), dense(4, true));
  EXPECT_EQ(c.choose("blk.0.ffn_down_exps.weight", 256), Q::mxfp4);
  EXPECT_EQ(c.choose("blk.0.attn_q.weight", 256), Q::q8_0);
}

}  // namespace
}  // namespace qw::quant
