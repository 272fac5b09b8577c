// A complete model file in GGUF: metadata as llama.cpp's convert_hf_to_gguf (0.7) writes them, the reverse of
// the table in gguf/config.h, so that llama.cpp and qw read it. Vectors (norms, biases) are F32. The hybrids
// and the original Qwen have tables of their own (gguf/hybrid_export.h, gguf/qwen.h). Test:
// tests/golden/gguf_write_golden_test.cc
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "io/generation.h"
#include "io/gguf/tokenizer.h"
#include "io/weight_rows.h"

namespace qw {

struct GgufModelPlan {
  Json config;                               // of a model that make_model takes, either spelling
  GenerationDefaults generation;             // sampling defaults
  std::optional<GgufTokenizer> tokenizer;    // none: the file has none
  std::string name;                          // general.name
  std::optional<int64_t> pooling_type = {};  // of an embedding model: ggml's number
  QuantFormat format = QuantFormat::bf16;    // of the matrices: f32, f16, bf16, q8_0
};

// Errors: gguf.cannot_hold (args key, found: a config that GGUF or llama.cpp has no words for);
// gguf.odd_columns (tensor, found: its columns are no multiple of 32); save.overflow (tensor, format);
// file.no_space, file.write, config.*.
Status write_gguf(const std::filesystem::path& file, const GgufModelPlan& plan, WeightRows& rows,
                  const WriteProgress& progress = {});

// The row of the original matrix that stands at `row` of a GGUF file's q or k, whose `head_rows` rows a head
// llama.cpp wants interleaved for its pairwise rotation (llama alone).
int64_t rotary_source_row(int64_t row, int64_t head_rows);
// Rows a head of a tensor that is so interleaved; 0 for every other. `hf_name` is a weight or bias of Hugging
// Face's naming.
int64_t rotary_head_rows(const Json& config, std::string_view hf_name);

}  // namespace qw
