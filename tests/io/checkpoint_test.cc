// io/checkpoint, io/stored_weights: one door, Hugging Face names, rows in their own order.
#include "io/checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>

#include "io/gguf/gguf.h"
#include "io/hf/safetensors.h"
#include "io/stored_weights.h"
#include "tests/io/tiny_models.h"

namespace qw {
namespace {

namespace fs = std::filesystem;
using B = GgufBuilder;
using Shape = std::vector<int64_t>;

std::vector<float> floats(const WeightBytes& w) {
  std::vector<float> v(w.bytes.size() / 4);
  std::memcpy(v.data(), w.bytes.data(), w.bytes.size());
  return v;
}

TEST(Checkpoint, GgufKnownByItsMagicWhateverItsName) {
  const TempDir dir;
  B b = TinyGguf{}.builder();
  add_tiny_tokenizer(b);
  const auto blob = dir.write("sha256-0123abcd", b.build());
  const Checkpoint c = open_checkpoint(blob).value();
  EXPECT_EQ(c.kind, CheckpointKind::gguf);
  EXPECT_EQ(c.name, "Tiny");
  EXPECT_EQ(c.config["model_type"], "llama");
  EXPECT_EQ(c.generation.stop_ids, (std::vector<int32_t>{2, 4}));
  EXPECT_EQ(c.tokenizer->tokens.size(), 5u);
  EXPECT_EQ(c.total_bytes, static_cast<int64_t>(fs::file_size(blob)));
  EXPECT_EQ(c.formats.at("f32").tensors, 11);
  EXPECT_EQ(c.gguf_version, 3);
  EXPECT_TRUE(c.weights->has("model.layers.0.self_attn.q_proj.weight"));
  EXPECT_TRUE(c.weights->has("model.embed_tokens.weight"));
  EXPECT_FALSE(c.weights->has("lm_head.weight"));
  const Checkpoint t = open_tokenizer_files(blob).value();
  EXPECT_EQ(t.tokenizer->pre, "qwen2");
  EXPECT_EQ(t.weights, nullptr);
}

TEST(Checkpoint, LlamaRotaryRowsAreUndone) {
  const TempDir dir;
  const auto path = dir.write("m", TinyGguf{.qkv_bias = true, .o_bias = true}.builder().build());
  const Checkpoint c = open_checkpoint(path).value();
  // 2 heads of 4 rows: the file has row 0 of the halves, then row 1: [0, 2, 1, 3] puts the halves back.
  const auto q = floats(c.weights->take("model.layers.0.self_attn.q_proj.weight", Shape{8, 8}).value());
  const std::vector<int> order{0, 2, 1, 3, 4, 6, 5, 7};
  for (size_t row = 0; row < 8; ++row)
    for (size_t col = 0; col < 8; ++col)
      EXPECT_EQ(q[row * 8 + col], static_cast<float>(order[row]) * 8 + static_cast<float>(col));
  EXPECT_EQ(floats(c.weights->take("model.layers.0.self_attn.q_proj.bias", Shape{8}).value()),
            (std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_EQ(floats(c.weights->take("model.layers.0.self_attn.k_proj.bias", Shape{4}).value()),
            (std::vector<float>{0, 2, 1, 3}));
  EXPECT_EQ(floats(c.weights->take("model.layers.0.self_attn.v_proj.bias", Shape{4}).value()),
            (std::vector<float>{0, 1, 2, 3}));
  EXPECT_EQ(c.config["attention_bias"], true);
  const Checkpoint qwen =
      open_checkpoint(dir.write("q", TinyGguf{.arch = "qwen2", .qkv_bias = true}.builder().build())).value();
  EXPECT_EQ(floats(qwen.weights->take("model.layers.0.self_attn.q_proj.bias", Shape{8}).value()),
            TinyGguf::counted(8))
      << "only llama is permuted";
}

TEST(Checkpoint, EveryTensorIsConsumedOrNamed) {
  const TempDir dir;
  const auto path = dir.write("m", TinyGguf{}.builder().f32s("blk.0.extra.weight", {1}, {1}).build());
  const Checkpoint c = open_checkpoint(path).value();
  const Error missing = c.weights->take("lm_head.weight", Shape{5, 8}).error();
  EXPECT_EQ(missing.code(), "weights.missing");
  EXPECT_EQ(missing.arg("tensor"), "lm_head.weight");
  const Error shape = c.weights->take("model.norm.weight", Shape{9}).error();
  EXPECT_EQ(shape.debug(),
            "weights.shape file=" + path.string() + " tensor=model.norm.weight expected=[9] found=[8]");
  ASSERT_TRUE(c.weights->take("model.norm.weight", Shape{8}));
  EXPECT_EQ(c.weights->take("model.norm.weight", Shape{8}).error().code(), "weights.missing") << "taken once";
  for (const std::string& name : c.weights->names())
    if (name != "blk.0.extra.weight") c.weights->ignore(name);
  c.weights->ignore("not there");
  const Error left = c.weights->finish().error();
  EXPECT_EQ(left.code(), "weights.leftover");
  EXPECT_EQ(left.arg("tensor"), "blk.0.extra.weight");
  EXPECT_EQ(left.arg("count"), "1");
  c.weights->ignore("blk.0.extra.weight");
  EXPECT_TRUE(c.weights->finish());
}

TEST(StoredWeights, BytesStayInTheMappingUnlessUnaligned) {
  const std::vector<std::byte> file(64);
  const auto at = [&](size_t offset) {
    return StoredTensor{
        .format = QuantFormat::f32, .shape = {2}, .bytes = std::span(file).subspan(offset, 8), .file = "f"};
  };
  StoredWeights w("f", {{"a", at(16)}, {"b", at(3)}, {"x.rotary_emb.inv_freq", at(0)}});
  EXPECT_EQ(w.take("a", Shape{2}).value().bytes.data(), file.data() + 16);
  const auto b = w.take("b", Shape{2}).value();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.bytes.data()) % 4, 0u);
  EXPECT_NE(b.holder, nullptr);
  EXPECT_TRUE(w.finish()) << "inv_freq is let pass";
}

TEST(StoredWeights, TheScaleOfAnNvfp4TensorGoesIntoItsBlocks) {
  std::vector<std::byte> raw(4 * 36);
  for (size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<std::byte>(i);
  StoredWeights w(
      "f",
      {{"a",
        StoredTensor{
            .format = QuantFormat::nvfp4, .shape = {2, 128}, .bytes = raw, .file = "f", .scales = {0.25F}}}});
  const WeightBytes taken = w.take("a", std::vector<int64_t>{2, 128}).value();
  EXPECT_EQ(taken.format, QuantFormat::nvfp4_s);
  ASSERT_EQ(taken.bytes.size(), 4u * 40);
  for (size_t b = 0; b < 4; ++b) {
    float scale = 0;
    std::memcpy(&scale, &taken.bytes[40 * b], 4);
    EXPECT_EQ(scale, 0.25F);
    EXPECT_TRUE(std::equal(raw.begin() + static_cast<ptrdiff_t>(36 * b),
                           raw.begin() + static_cast<ptrdiff_t>(36 * b + 36),
                           taken.bytes.begin() + static_cast<ptrdiff_t>(40 * b + 4)));
  }
}

TEST(Checkpoint, GgufRefusals) {
  const TempDir dir;
  const auto error = [&](const B& b) { return open_checkpoint(dir.write("m", b.build())).error(); };
  const Error type = error(TinyGguf{}.builder().tensor("blk.0.q.weight", {256}, 24, std::string(256, 'x')));
  EXPECT_EQ(type.code(), "gguf.tensor_unsupported");
  EXPECT_EQ(type.arg("found"), "I8");
  const Error twice = error(TinyGguf{}.builder().f32s("model.norm.weight", {1}, {1}));
  EXPECT_EQ(twice.code(), "gguf.duplicate");
  TinyGguf heads;
  heads.without = {"attention.head_count_kv"};
  const Error rows = error(heads.builder().u32("llama.attention.head_count_kv", 2));
  EXPECT_EQ(rows.code(), "weights.shape");
  EXPECT_EQ(rows.arg("tensor"), "blk.0.attn_k.weight");
  TinyGguf no_tokenizer;
  EXPECT_EQ(open_tokenizer_files(dir.write("t", no_tokenizer.builder().build())).error().code(),
            "checkpoint.no_tokenizer");
}

TEST(Checkpoint, Folder) {
  const TempDir dir;
  dir.write("models--org--tiny/snapshots/1/config.json", R"({"model_type":"qwen3","eos_token_id":3})");
  dir.write("models--org--tiny/refs/main", "1");
  const fs::path folder = dir / "models--org--tiny";
  EXPECT_EQ(open_tokenizer_files(folder).error().code(), "checkpoint.no_tokenizer");
  dir.write("models--org--tiny/snapshots/1/tokenizer.json", "{}");
  EXPECT_EQ(open_tokenizer_files(folder).value().tokenizer_folder, folder / "snapshots" / "1")
      << "no weights needed";
  write_counted(folder / "snapshots" / "1" / "model.safetensors", {{"a", "F32", {2, 3}}, {"h", "BF16", {4}}});
  const Checkpoint c = open_checkpoint(folder).value();
  EXPECT_EQ(c.kind, CheckpointKind::hf_folder);
  EXPECT_EQ(c.name, "models--org--tiny");
  EXPECT_EQ(c.generation.stop_ids, (std::vector<int32_t>{3}));
  EXPECT_EQ(c.formats.at("bf16").elements, 4);
  EXPECT_EQ(c.formats.at("f32").bytes, 24);
  EXPECT_EQ(floats(c.weights->take("a", Shape{2, 3}).value()), TinyGguf::counted(6));
}

TEST(Checkpoint, WhatIsNoCheckpointIsNamed) {
  const TempDir dir;
  EXPECT_EQ(open_checkpoint(dir / "absent").error().code(), "checkpoint.absent");
  EXPECT_EQ(open_checkpoint(dir.path()).error().code(), "hf.no_config");
  EXPECT_EQ(open_checkpoint(dir.write("a", "")).error().code(), "file_kind.empty");
  EXPECT_EQ(open_checkpoint(dir.write("b", "<!doctype html>")).error().code(), "file_kind.html");
  EXPECT_EQ(open_checkpoint(dir.write("c", "PK\x03\x04zip")).error().code(), "file_kind.zip");
  write_counted(dir / "d", {{"a", "F32", {1}}});
  EXPECT_EQ(open_checkpoint(dir / "d").error().code(), "file_kind.safetensors");
  EXPECT_EQ(open_checkpoint(dir.write("e", "GGU")).error().code(), "file_kind.text");
  EXPECT_EQ(open_checkpoint(dir.write("f", "GGUF")).error().code(), "gguf.truncated");
}

TEST(Checkpoint, RealModel) {
  const auto path = fs::path(QW_SOURCE_DIR) / "../shared/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!fs::exists(path)) GTEST_SKIP() << path << " is absent";
  const Checkpoint c = open_checkpoint(path).value();
  EXPECT_EQ(c.config["num_hidden_layers"], 30);
  EXPECT_EQ(c.config["head_dim"], 64);
  EXPECT_EQ(c.config["rope_parameters"]["rope_theta"], 100000.0);
  EXPECT_EQ(c.config["tie_word_embeddings"], true);
  EXPECT_EQ(c.generation.stop_ids, (std::vector<int32_t>{0, 2}));
  EXPECT_EQ(c.tokenizer->pre, "smollm");
  EXPECT_EQ(c.tokenizer->bos, 1);
  EXPECT_EQ(c.formats.at("q4_1").tensors, 210);
  EXPECT_EQ(c.formats.at("q8_0").tensors, 1);
  for (const auto& [key, value] : c.config.items())
    EXPECT_EQ(key.find('.'), std::string::npos) << "unknown key " << key;
  // A Q4_1 row of 576 is 18 blocks of 20 bytes; row 1 of a head comes from the file's row 2.
  const auto file = GgufFile::open(path).value();
  const auto raw = file->tensors().at("blk.3.attn_k.weight").bytes;
  const auto k = c.weights->take("model.layers.3.self_attn.k_proj.weight", Shape{192, 576}).value();
  EXPECT_EQ(k.format, QuantFormat::q4_1);
  ASSERT_EQ(k.bytes.size(), 192u * 360u);
  for (size_t row = 0; row < 192; ++row) {
    const size_t from = row / 64 * 64 + row % 32 * 2 + row % 64 / 32;
    ASSERT_EQ(std::memcmp(k.bytes.data() + row * 360, raw.data() + from * 360, 360), 0) << row;
  }
}

}  // namespace
}  // namespace qw
