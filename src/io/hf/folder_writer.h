// Writes a Hugging Face folder: config.json, the tokenizer and generation files of a source folder, and the
// weights in one float format, in shards where they are large. The folder appears whole (staged_folder.h).
// Test: tests/golden/merge_golden_test.cc
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/json.h"
#include "io/weight_rows.h"

namespace qw {

struct HfFolderPlan {
  // A resolved folder whose text files (base/text_files.h) are copied; empty: none.
  std::filesystem::path files_from = {};
  Json config = {};                         // config.json; what it says of the dtype (and a tied head) is set
  QuantFormat format = QuantFormat::bf16;   // f32, f16 or bf16, of all tensors
  int64_t max_shard_bytes = 5'000'000'000;  // Hugging Face's
  std::map<std::string, std::string> files = {};  // more files, by name; they win over copied ones
};

// Into a folder that is there, its other files stay, but for weights of an earlier write. Errors: file.write,
// file.open, gguf.own_layout, file.no_space (args file, needed, free), save.overflow (tensor, format: a
// number too large for f16).
Status write_hf_folder(const std::filesystem::path& folder, const HfFolderPlan& plan, WeightRows& rows,
                       const WriteProgress& progress = {});

}  // namespace qw
