// io/gguf_config, gguf_names, gguf_tokenizer: what models/ and text/ are told about a GGUF file.
#include <gtest/gtest.h>

#include "io/gguf/config.h"
#include "io/gguf/names.h"
#include "tests/io/tiny_models.h"

namespace qw {
namespace {

using B = GgufBuilder;

struct Made {
  TempDir dir;
  std::shared_ptr<const GgufFile> file;
  std::optional<GgufTokenizer> tokenizer;
  Result<Json> config = Json();

  explicit Made(const B& b) {
    file = GgufFile::open(dir.write("m.gguf", b.build())).value();
    tokenizer = read_gguf_tokenizer(file).value();
    config = gguf_config(*file, tokenizer);
  }
  std::string error() const {
    if (config) return "none";
    std::string out = config.error().code();
    for (const ErrorArg& a : config.error().args())
      if (a.name != "file") out += " " + a.name + "=" + a.value;
    return out;
  }
};

std::string error_of(const B& b) {
  return Made(b).error();
}

TEST(GgufNames, MapsTheTable) {
  EXPECT_EQ(hf_tensor_name("token_embd.weight"), "model.embed_tokens.weight");
  EXPECT_EQ(hf_tensor_name("output_norm.weight"), "model.norm.weight");
  EXPECT_EQ(hf_tensor_name("output.weight"), "lm_head.weight");
  EXPECT_EQ(hf_tensor_name("blk.0.attn_q.weight"), "model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(hf_tensor_name("blk.31.attn_k.bias"), "model.layers.31.self_attn.k_proj.bias");
  EXPECT_EQ(hf_tensor_name("blk.7.attn_q_norm.weight"), "model.layers.7.self_attn.q_norm.weight");
  EXPECT_EQ(hf_tensor_name("blk.7.ffn_norm.weight"), "model.layers.7.post_attention_layernorm.weight");
  EXPECT_EQ(hf_tensor_name("blk.127.ffn_down.weight"), "model.layers.127.mlp.down_proj.weight");
  for (const char* name :
       {"blk.x.attn_q.weight", "blk.01.attn_q.weight", "blk..attn_q.weight", "blk.0.attn_qkv.weight",
        "blk.0.attn_q", "blk.0.attn_q.scale", "rope_freqs.weight", "weight", "", "blk.0.weight"})
    EXPECT_EQ(hf_tensor_name(name), std::nullopt) << name;
}

TEST(GgufConfig, Llama) {
  const Made m(TinyGguf{}.builder());
  EXPECT_EQ(
      to_json_line(m.config.value()),
      R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":5,"hidden_size":8,)"
      R"("intermediate_size":6,"num_hidden_layers":1,"max_position_embeddings":64,"rms_norm_eps":1e-06,)"
      R"("hidden_act":"silu","tie_word_embeddings":true,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":4,)"
      R"("attention_bias":false,"mlp_bias":false,"rope_parameters":{"rope_type":"default","rope_theta":10000.0}})");
}

TEST(GgufConfig, BiasesTyingAndHeadDimComeFromTheFile) {
  TinyGguf t{.arch = "qwen3", .head_dim = 16, .tied = false, .qkv_bias = true, .qk_norm = true};
  const Json c =
      Made(t.builder().u32("qwen3.attention.key_length", 16).u32("qwen3.attention.value_length", 16))
          .config.value();
  EXPECT_EQ(c["model_type"], "qwen3");
  EXPECT_EQ(c["tie_word_embeddings"], false);
  EXPECT_EQ(c["attention_bias"], true);
  EXPECT_EQ(c["head_dim"], 16);
  EXPECT_EQ(c["use_sliding_window"], false);
  EXPECT_FALSE(c.contains("mlp_bias"));
  const Json q2 = Made(TinyGguf{.arch = "qwen2", .qkv_bias = true}.builder()).config.value();
  EXPECT_FALSE(q2.contains("attention_bias")) << "Qwen2 has no such key: its q, k, v always have biases";
  TinyGguf mha;
  mha.without = {"attention.head_count_kv"};
  EXPECT_EQ(Made(mha.builder()).config.value()["num_key_value_heads"], 2)
      << "the spec's meaning of an absent key";
}

TEST(GgufConfig, TokenIds) {
  B b = TinyGguf{}.builder();
  add_tiny_tokenizer(b);
  const Made m(b);
  const Json& c = m.config.value();
  EXPECT_EQ(c["eos_token_id"], 2);
  EXPECT_EQ(c["pad_token_id"], 4);
  EXPECT_FALSE(c.contains("bos_token_id"));
}

TEST(GgufConfig, RopeScaling) {
  const auto rope = [](const B& b) { return to_json_line(Made(b).config.value()["rope_parameters"]); };
  EXPECT_EQ(
      rope(
          TinyGguf{}.builder().text("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 2)),
      R"({"rope_type":"linear","rope_theta":10000.0,"factor":2.0})");
  EXPECT_EQ(rope(TinyGguf{}.builder().f32("llama.rope.scale_linear", 4)),
            R"({"rope_type":"linear","rope_theta":10000.0,"factor":4.0})");
  EXPECT_EQ(rope(TinyGguf{}.builder().text("llama.rope.scaling.type", "none")),
            R"({"rope_type":"default","rope_theta":10000.0})");
  EXPECT_EQ(rope(TinyGguf{.arch = "qwen2"}
                     .builder()
                     .text("qwen2.rope.scaling.type", "yarn")
                     .f32("qwen2.rope.scaling.factor", 4)
                     .u32("qwen2.rope.scaling.original_context_length", 16)
                     .f32("qwen2.rope.scaling.yarn_beta_fast", 24)
                     .f32("qwen2.rope.scaling.yarn_attn_factor", 1.25f)
                     .flag("qwen2.rope.scaling.yarn_truncate", false)),
            R"({"rope_type":"yarn","rope_theta":10000.0,"factor":4.0,"original_max_position_embeddings":16,)"
            R"("beta_fast":24.0,"attention_factor":1.25,"truncate":false})");
  EXPECT_EQ(rope(TinyGguf{}.builder().f32s("rope_freqs.weight", {2}, {1.0f, 8.0f})),
            R"({"rope_type":"explicit_factors","rope_theta":10000.0,"factors":[1.0,8.0]})");
}

TEST(GgufConfig, RopeRefusals) {
  const auto b = [] { return TinyGguf{}.builder(); };
  EXPECT_EQ(error_of(b().text("llama.rope.scaling.type", "longrope")),
            "gguf.key_value key=llama.rope.scaling.type expected=none, linear, yarn found=longrope");
  EXPECT_EQ(error_of(b().text("llama.rope.scaling.type", "linear")),
            "gguf.key_missing key=llama.rope.scaling.factor");
  EXPECT_EQ(error_of(b().text("llama.rope.scaling.type", "yarn").f32("llama.rope.scaling.factor", 2)),
            "gguf.key_missing key=llama.rope.scaling.original_context_length");
  EXPECT_EQ(error_of(b().text("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 0)),
            "gguf.key_value key=llama.rope.scaling.factor expected=> 0 found=0");
  EXPECT_EQ(error_of(b().f32s("rope_freqs.weight", {3}, {1, 1, 1})),
            "gguf.rope_freqs expected=F32 [2] found=F32 [3]");
  EXPECT_EQ(error_of(b().f32s("rope_freqs.weight", {2}, {1, 0})), "gguf.rope_freqs expected=> 0 found=0");
  EXPECT_EQ(error_of(b().tensor("rope_freqs.weight", {2}, 1, "abcd")),
            "gguf.rope_freqs expected=F32 [2] found=F16 [2]");
  EXPECT_EQ(error_of(b().text("llama.rope.scaling.type", "yarn").f32s("rope_freqs.weight", {2}, {1, 1})),
            "gguf.key_value key=llama.rope.scaling.type expected=none found=yarn");
  EXPECT_EQ(error_of(b().f32("llama.rope.scaling.attn_factor", 1.5f)),
            "gguf.key_value key=llama.rope.scaling.attn_factor expected=1 found=1.5");
  EXPECT_EQ(error_of(b().u32("llama.rope.dimension_count", 2)),
            "gguf.key_value key=llama.rope.dimension_count expected=4 found=2");
}

TEST(GgufConfig, WhatIsNotSaidIsAnError) {
  for (const char* key : {"block_count", "context_length", "embedding_length", "feed_forward_length",
                          "attention.head_count", "attention.layer_norm_rms_epsilon", "rope.freq_base"}) {
    TinyGguf t;
    t.without = {key};
    EXPECT_EQ(error_of(t.builder()), std::string("gguf.key_missing key=llama.") + key);
  }
  TinyGguf t;
  t.without_tensors = {"token_embd.weight"};
  EXPECT_EQ(error_of(t.builder()), "gguf.tensor_missing tensor=token_embd.weight");
  EXPECT_EQ(error_of(B().u32("x", 1)), "gguf.key_missing key=general.architecture");
  EXPECT_EQ(error_of(TinyGguf{.arch = "gemma3"}.builder()), "gguf.architecture found=gemma3");
  EXPECT_EQ(error_of(B().u32("general.architecture", 1)),
            "gguf.key_type key=general.architecture expected=string found=u32");
  TinyGguf odd;
  odd.without = {"attention.head_count"};
  EXPECT_EQ(error_of(odd.builder().u32("llama.attention.head_count", 3)),
            "gguf.key_missing key=llama.attention.key_length");
}

TEST(GgufConfig, ContradictionsAreErrors) {
  const auto with = [](const char* key, uint32_t v) {
    TinyGguf t;
    t.without = {key};
    return error_of(t.builder().u32(std::string("llama.") + key, v));
  };
  EXPECT_EQ(with("embedding_length", 9), "gguf.key_value key=llama.embedding_length expected=8 found=9");
  EXPECT_EQ(with("vocab_size", 6), "gguf.key_value key=llama.vocab_size expected=5 found=6");
  EXPECT_EQ(with("block_count", 4'000'000),
            "gguf.key_value key=llama.block_count expected=<= 11 found=4000000");
  EXPECT_EQ(with("block_count", 0), "gguf.key_value key=llama.block_count expected=>= 1 found=0");
  EXPECT_EQ(with("context_length", 4'000'000'000u),
            "gguf.key_value key=llama.context_length expected=>= 1 found=4000000000");
  EXPECT_EQ(with("expert_count", 8), "gguf.key_value key=llama.expert_count expected=0 found=8");
  EXPECT_EQ(with("expert_count", 0), "none");
  EXPECT_EQ(with("attention.key_length", 1'000'000'000),
            "gguf.key_value key=llama.attention.key_length expected=4 found=1000000000");
  EXPECT_EQ(with("attention.key_length", 3),
            "gguf.key_value key=llama.attention.key_length expected=2 n found=3");
  EXPECT_EQ(error_of(TinyGguf{}.builder().flag("llama.attention.causal", false)),
            "gguf.key_value key=llama.attention.causal expected=true found=false");
  TinyGguf per_layer;
  per_layer.without = {"feed_forward_length"};
  EXPECT_EQ(error_of(per_layer.builder().ints("llama.feed_forward_length", {6, 6})), "none");
  EXPECT_EQ(error_of(per_layer.builder().ints("llama.feed_forward_length", {6, 7})),
            "gguf.key_value key=llama.feed_forward_length expected=6 found=7");
  EXPECT_EQ(error_of(per_layer.builder().text("llama.feed_forward_length", "6")),
            "gguf.key_type key=llama.feed_forward_length expected=integer found=string");
  B many = TinyGguf{}.builder();
  many.text("tokenizer.ggml.model", "gpt2").texts("tokenizer.ggml.tokens", {"1", "2", "3", "4", "5", "6"});
  EXPECT_EQ(error_of(many), "gguf.key_value key=tokenizer.ggml.tokens expected=5 found=6");
}

TEST(GgufConfig, UnknownKeysAreHandedOn) {
  const Json c =
      Made(TinyGguf{}.builder().f32("llama.logit_scale", 2).u32("qwen2.foreign", 1)).config.value();
  EXPECT_EQ(c["llama.logit_scale"], "f32");
  EXPECT_FALSE(c.contains("qwen2.foreign"));
}

TEST(GgufConfig, SlidingWindow) {
  const auto b = [] { return TinyGguf{.arch = "qwen2"}.builder().u32("qwen2.attention.sliding_window", 16); };
  const auto pattern = [](std::initializer_list<uint8_t> flags, uint32_t type = 7) {
    std::string e = B::raw(type) + B::raw<uint64_t>(flags.size());
    for (const uint8_t f : flags) e += static_cast<char>(f);
    return e;
  };
  const Json c = Made(b().kv("qwen2.attention.sliding_window_pattern", 9, pattern({1}))).config.value();
  EXPECT_EQ(c["use_sliding_window"], true);
  EXPECT_EQ(c["sliding_window"], 16);
  EXPECT_EQ(c["layer_types"], Json::array({"sliding_attention"}));
  EXPECT_EQ(error_of(b()), "gguf.key_missing key=qwen2.attention.sliding_window_pattern");
  EXPECT_EQ(error_of(b().kv("qwen2.attention.sliding_window_pattern", 9, pattern({1, 0}))),
            "gguf.key_value key=qwen2.attention.sliding_window_pattern expected=1 x bool found=2");
  EXPECT_EQ(error_of(b().kv("qwen2.attention.sliding_window_pattern", 9, pattern({1}, 0))),
            "gguf.key_value key=qwen2.attention.sliding_window_pattern expected=bool found=u8");
  EXPECT_EQ(error_of(TinyGguf{}.builder().u32("llama.attention.sliding_window", 16)),
            "gguf.key_value key=llama.attention.sliding_window expected=0 found=16");
  EXPECT_EQ(error_of(TinyGguf{}.builder().u32("llama.attention.sliding_window", 0)), "none");
}

TEST(GgufTokenizer, ReadsTheMetadata) {
  B b = TinyGguf{}.builder();
  add_tiny_tokenizer(b);
  const Made m(b);
  const GgufTokenizer& t = m.tokenizer.value();
  EXPECT_EQ(t.model, "gpt2");
  EXPECT_EQ(t.pre, "qwen2");
  EXPECT_EQ(t.tokens[3], "ab");
  EXPECT_EQ(t.types, (std::vector<int32_t>{1, 1, 3, 1, 3}));
  EXPECT_EQ(t.merges, (std::vector<std::string_view>{"a b"}));
  EXPECT_EQ(t.bos, std::nullopt);
  EXPECT_EQ(t.eos, 2);
  EXPECT_EQ(t.add_bos, false);
  EXPECT_EQ(t.add_eos, std::nullopt);
  EXPECT_EQ(t.nfc, true);
  EXPECT_EQ(t.chat_template, "{{ messages }}");
  ASSERT_EQ(t.named_templates.size(), 1u);
  EXPECT_EQ(t.named_templates[0].first, "tool_use");
  EXPECT_EQ(gguf_stop_ids(t), (std::vector<int32_t>{2, 4})) << "eos and the other known end";
  EXPECT_FALSE(Made(TinyGguf{}.builder()).tokenizer.has_value());
}

TEST(GgufTokenizer, Refusals) {
  const TempDir dir;
  const auto error = [&](const B& b) {
    const auto t = read_gguf_tokenizer(GgufFile::open(dir.write("t.gguf", b.build())).value());
    return t ? "none" : t.error().code() + " " + std::string(t.error().arg("key"));
  };
  const auto base = [] {
    return B().text("tokenizer.ggml.model", "gpt2").texts("tokenizer.ggml.tokens", {"a", "b"});
  };
  EXPECT_EQ(error(base()), "none");
  EXPECT_EQ(error(B().texts("tokenizer.ggml.tokens", {"a"})), "gguf.key_missing tokenizer.ggml.model");
  EXPECT_EQ(error(B().ints("tokenizer.ggml.tokens", {1})), "gguf.key_type tokenizer.ggml.tokens");
  EXPECT_EQ(error(base().ints("tokenizer.ggml.token_type", {1})), "gguf.key_value tokenizer.ggml.token_type");
  EXPECT_EQ(error(base().ints("tokenizer.ggml.token_type", {1, 9})),
            "gguf.key_value tokenizer.ggml.token_type");
  EXPECT_EQ(error(base().u32("tokenizer.ggml.eos_token_id", 2)),
            "gguf.key_value tokenizer.ggml.eos_token_id");
  EXPECT_EQ(error(base().u32("tokenizer.ggml.bos_token_id", 0xffffffff)), "none")
      << "converters' spelling of none";
  EXPECT_EQ(error(base().u32("tokenizer.chat_template", 2)), "gguf.key_type tokenizer.chat_template");
}

TEST(GgufGeneration, SamplingAndStops) {
  B b = TinyGguf{}.builder();
  add_tiny_tokenizer(b);
  b.f32("general.sampling.temp", 0.6f).f32("general.sampling.top_p", 0.95f).i32("general.sampling.top_k", 20);
  b.f32("general.sampling.min_p", 0.05f).f32("general.sampling.penalty_repeat", 1.1f);
  const Made m(b);
  const auto g = gguf_generation(*m.file, m.tokenizer).value();
  EXPECT_EQ(g.temperature, 0.6);
  EXPECT_EQ(g.top_p, 0.95);
  EXPECT_EQ(g.top_k, 20);
  EXPECT_EQ(g.min_p, 0.05);
  EXPECT_EQ(g.repetition_penalty, 1.1);
  EXPECT_EQ(g.stop_ids, (std::vector<int32_t>{2, 4}));
  EXPECT_EQ(g.do_sample, std::nullopt);
  const Made bad(TinyGguf{}.builder().f32("general.sampling.temp", -1));
  EXPECT_EQ(gguf_generation(*bad.file, {}).error().code(), "gguf.key_value");
}

}  // namespace
}  // namespace qw
