// Builds the config.json that a GGUF file does not have, in the spelling of transformers 5, so that models/
// sees one kind of config. Spec: ggml/docs/gguf.md. Test: tests/io/gguf_config_test.cc
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "io/generation.h"
#include "io/gguf/gguf.h"
#include "io/gguf/tokenizer.h"

namespace qw {

// The table (A is general.architecture; "spec" is ggml/docs/gguf.md, "converter" llama.cpp's
// convert_hf_to_gguf):
//
//   config key                     from
//   model_type, architectures      A: llama, qwen2, qwen3, qwen2moe, qwen3moe
//   vocab_size, hidden_size        rows and columns of token_embd.weight; A.vocab_size and
//                                  A.embedding_length must agree
//   intermediate_size              A.feed_forward_length
//   num_hidden_layers              A.block_count
//   num_attention_heads            A.attention.head_count
//   num_key_value_heads            A.attention.head_count_kv; absent: head_count (spec)
//   head_dim                       A.attention.key_length (= value_length = A.rope.dimension_count where
//                                  given); absent: embedding_length / head_count (spec)
//   max_position_embeddings        A.context_length
//   rms_norm_eps                   A.attention.layer_norm_rms_epsilon
//   hidden_act                     "silu": the architectures know no other
//   tie_word_embeddings            output.weight is absent
//   attention_bias (llama, qwen3)  blk.0.attn_q.bias is present (qwen2 always has q, k, v biases)
//   mlp_bias (llama)               blk.0.ffn_up.bias is present
//   rope_parameters.rope_theta     A.rope.freq_base
//   rope_parameters.rope_type      A.rope.scaling.type: none -> default, linear, yarn;
//                                  with rope_freqs.weight: explicit_factors
//     linear                       factor: A.rope.scaling.factor; A.rope.scale_linear is the old spelling
//                                  of the pair
//     yarn                         factor; original_max_position_embeddings:
//                                  A.rope.scaling.original_context_length; beta_fast, beta_slow, truncate,
//                                  attention_factor: A.rope.scaling.yarn_* where given (converter)
//     explicit_factors             factors: the head_dim / 2 numbers of rope_freqs.weight; each divides the
//                                  inverse frequency of its pair. A llama3 scaling survives in GGUF only
//                                  as these numbers (converter).
//   num_experts                    A.expert_count (…moe, as all that follow down to mlp_only_layers)
//   num_experts_per_tok            A.expert_used_count
//   moe_intermediate_size,         rows of ffn_gate_exps and ffn_gate_shexp; A.expert_feed_forward_length
//   shared_expert_intermediate_size  and A.expert_shared_feed_forward_length must agree
//   norm_topk_prob                 A.expert_weights_norm; absent: false for qwen2moe, true for qwen3moe, as
//                                  llama.cpp computes them
//   mlp_only_layers                layers without ffn_gate_inp
//   use_sliding_window,            A.attention.sliding_window with A.attention.sliding_window_pattern (a
//   sliding_window, layer_types    flag a layer); qwen2 and qwen3 only
//   bos_, eos_, pad_token_id       tokenizer.ggml.{bos,eos,padding}_token_id where given
//   "A.something"                  any other key of the architecture, under its own name: models/ reports
//                                  it as unknown
//
// The original Qwen (A = qwen) has a table of its own: gguf/qwen.h; hybrids: gguf/hybrid.h. What the file
// must say and does not is an error, never a default.
//
// Errors: gguf.architecture (args file, found), gguf.tensor_missing (file, tensor), gguf.rope_freqs (file,
// expected, found), gguf.key_missing, gguf.key_type, gguf.key_value.
Result<Json> gguf_config(const GgufFile& file, const std::optional<GgufTokenizer>& tokenizer);

// Stop set and general.sampling.*. Errors: gguf.key_type.
Result<GenerationDefaults> gguf_generation(const GgufFile& file,
                                           const std::optional<GgufTokenizer>& tokenizer);

}  // namespace qw
