// The original Qwen in GGUF (general.architecture "qwen"). llama.cpp reads such a file and leaves out LogN
// and NTK: its numbers are equal up to seq_length positions.
// Test: tests/golden/gguf_write_golden_test.cc (qwen1_*), tests/io/golden_checkpoints_test.cc
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "io/gguf/gguf.h"
#include "io/gguf/tokenizer.h"
#include "io/gguf/writer.h"

namespace qw {

// Its config has names of its own, so the table of gguf/config.h does not hold for it; this one does, both
// ways (A is "qwen"):
//
//   vocab_size, hidden_size      rows and columns of token_embd.weight; A.vocab_size and
//                                A.embedding_length must agree
//   intermediate_size            A.feed_forward_length: twice the columns of each half of the MLP, as
//                                llama.cpp has it
//   num_hidden_layers            A.block_count
//   num_attention_heads          A.attention.head_count (= head_count_kv where given)
//   kv_channels                  hidden_size / heads (= A.rope.dimension_count where given)
//   max_position_embeddings      A.context_length
//   layer_norm_epsilon           A.attention.layer_norm_rms_epsilon
//   rotary_emb_base              A.rope.freq_base
//   seq_length, use_logn_attn,   A.seq_length, A.use_logn_attn, A.use_dynamic_ntk: written by qw alone. A
//   use_dynamic_ntk              file without them has neither LogN nor NTK, as in llama.cpp; seq_length is
//                                its context then
//
// Errors: as gguf_config.
Result<Json> gguf_qwen_config(const GgufFile& file, const std::optional<GgufTokenizer>& tokenizer);

// The config in the spelling of the other architectures, for the words that they share. The first files of
// 2023 (n_embd, n_layer, …) are taken too. Errors: config.*.
Result<Json> qwen_in_common_words(const Json& config);
// The words that only this architecture has.
Status add_qwen_words(GgufMetadata& metadata, const Json& config);

}  // namespace qw
