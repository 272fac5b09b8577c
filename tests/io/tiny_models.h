// Tiny checkpoints for tests: a llama, qwen2 or qwen3 GGUF with numbered weights, and a Hugging Face folder.
#pragma once

#include <string>
#include <vector>

#include "io/hf/safetensors.h"
#include "io/hf/safetensors_writer.h"
#include "tests/io/gguf_builder.h"
#include "tests/io/temp_dir.h"

namespace qw {

// hidden 8, 2 heads of 4, 1 kv head, ffn 6, 1 layer, vocabulary 5. Element i of a tensor is i.
struct TinyGguf {
  std::string arch = "llama";
  uint64_t head_dim = 4;
  bool tied = true;
  bool qkv_bias = false;
  bool o_bias = false;
  bool qk_norm = false;
  std::vector<std::string> without = {};  // keys, as "rope.freq_base"
  std::vector<std::string> without_tensors = {};

  static std::vector<float> counted(size_t n) {
    std::vector<float> v(n);
    for (size_t i = 0; i < n; ++i) v[i] = static_cast<float>(i);
    return v;
  }

  GgufBuilder builder() const {
    GgufBuilder b;
    b.text("general.architecture", arch).text("general.name", "Tiny");
    const auto absent = [](const std::vector<std::string>& list, const std::string& x) {
      return std::find(list.begin(), list.end(), x) != list.end();
    };
    const auto number = [&](const std::string& key, uint32_t v) {
      if (!absent(without, key)) b.u32(arch + "." + key, v);
    };
    const auto real = [&](const std::string& key, float v) {
      if (!absent(without, key)) b.f32(arch + "." + key, v);
    };
    number("block_count", 1);
    number("context_length", 64);
    number("embedding_length", 8);
    number("feed_forward_length", 6);
    number("attention.head_count", 2);
    number("attention.head_count_kv", 1);
    real("attention.layer_norm_rms_epsilon", 1e-6f);
    real("rope.freq_base", 10000.0f);
    const auto tensor = [&](const std::string& name, std::vector<uint64_t> dims) {
      if (absent(without_tensors, name)) return;
      size_t n = 1;
      for (const uint64_t d : dims) n *= d;
      b.f32s(name, dims, counted(n));
    };
    tensor("token_embd.weight", {8, 5});
    tensor("output_norm.weight", {8});
    if (!tied) tensor("output.weight", {8, 5});
    tensor("blk.0.attn_norm.weight", {8});
    tensor("blk.0.attn_q.weight", {8, 2 * head_dim});
    tensor("blk.0.attn_k.weight", {8, head_dim});
    tensor("blk.0.attn_v.weight", {8, head_dim});
    tensor("blk.0.attn_output.weight", {2 * head_dim, 8});
    if (qkv_bias) {
      tensor("blk.0.attn_q.bias", {2 * head_dim});
      tensor("blk.0.attn_k.bias", {head_dim});
      tensor("blk.0.attn_v.bias", {head_dim});
    }
    if (o_bias) tensor("blk.0.attn_output.bias", {8});
    if (qk_norm) {
      tensor("blk.0.attn_q_norm.weight", {head_dim});
      tensor("blk.0.attn_k_norm.weight", {head_dim});
    }
    tensor("blk.0.ffn_norm.weight", {8});
    tensor("blk.0.ffn_gate.weight", {8, 6});
    tensor("blk.0.ffn_up.weight", {8, 6});
    tensor("blk.0.ffn_down.weight", {6, 8});
    return b;
  }
};

// A tokenizer of 5 tokens; id 2 is <|im_end|>, id 4 <|endoftext|>.
inline void add_tiny_tokenizer(GgufBuilder& b) {
  b.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "qwen2");
  b.texts("tokenizer.ggml.tokens", {"a", "b", "<|im_end|>", "ab", "<|endoftext|>"});
  b.ints("tokenizer.ggml.token_type", {1, 1, 3, 1, 3}).texts("tokenizer.ggml.merges", {"a b"});
  b.u32("tokenizer.ggml.eos_token_id", 2).u32("tokenizer.ggml.padding_token_id", 4);
  b.flag("tokenizer.ggml.add_bos_token", false).text("tokenizer.chat_template", "{{ messages }}");
  b.text("tokenizer.chat_template.tool_use", "{{ tools }}").flag("tokenizer.ggml.normalizer.nfc", true);
}

// Writes tensors of element value = index; every plan is F32.
inline void write_counted(const std::filesystem::path& path, const std::vector<SafetensorsPlan>& plans) {
  auto w = SafetensorsWriter::create(path, plans).value();
  for (size_t i = 0; i < plans.size(); ++i) {
    size_t n = 1;
    for (const int64_t d : plans[i].shape) n *= static_cast<size_t>(d);
    const auto bytes = n * static_cast<size_t>(*safetensors_dtype_bytes(plans[i].dtype));
    std::vector<std::byte> raw(bytes);
    const std::vector<float> v = TinyGguf::counted(n);
    if (plans[i].dtype == "F32") std::memcpy(raw.data(), v.data(), bytes);
    if (!w.write(i, 0, std::span<const std::byte>(raw))) std::abort();
  }
  if (!w.finish()) std::abort();
}

}  // namespace qw
