// One door for every kind of checkpoint: a Hugging Face folder (also a hub cache folder) or a GGUF file
// (known by its magic, whatever it is called: an Ollama blob has no extension). Test:
// tests/io/checkpoint_test.cc
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "io/generation.h"
#include "io/gguf/tokenizer.h"
#include "nn/weight_source.h"

namespace qw {

enum class CheckpointKind { hf_folder, gguf };

// Tensors of one storage format, for `qw info`.
struct FormatCount {
  int64_t tensors = 0;
  int64_t elements = 0;
  int64_t bytes = 0;
};

struct Checkpoint {
  CheckpointKind kind = CheckpointKind::hf_folder;
  std::filesystem::path path;  // the resolved folder, or the GGUF file (the first part)
  // In the manner of config.json, either spelling; of the text model alone (nn/text_config.h). For the hybrid
  // types mtp_num_hidden_layers says what the files hold: checkpoints come with and without mtp.*, whatever
  // their config.json says.
  Json config;
  GenerationDefaults generation;               // stop set and sampling defaults
  std::unique_ptr<WeightSource> weights;       // Hugging Face names
  std::filesystem::path tokenizer_folder;      // folders: where tokenizer.json and its companions lie
  std::optional<GgufTokenizer> tokenizer;      // GGUF files that carry one
  std::string quantisation;                    // of folders that are: "gptq, 4 bits, groups of 128"
  std::string name;                            // general.name, else the file's or folder's own
  int64_t total_bytes = 0;                     // of the weight files
  std::map<std::string, FormatCount> formats;  // "q4_1" -> …
  int gguf_version = 0;                        // 0 for folders
  std::optional<int64_t> pooling_type;         // of GGUF files that say one: ggml's number
  int n_files = 0;                             // weight files
  std::map<std::string, int64_t> other_parts;  // bytes that the text model leaves alone: "model.visual" → …
};

// Errors: checkpoint.absent (args file), gguf.tensor_unsupported (file, tensor, found),
// weights.shape, file_kind.*, gguf.*, safetensors.*, hf.*, generation.value, json.*, file.*.
Result<Checkpoint> open_checkpoint(const std::filesystem::path& path);

// The same for a GGUF file that is already open.
Result<Checkpoint> open_checkpoint(const std::shared_ptr<const GgufFile>& file);

// The part that `qw tokenize` and `qw render` need: kind, path, name, and the tokenizer; a folder needs no
// weights and no config.json. config, generation and weights stay empty. Errors: as open_checkpoint, and
// checkpoint.no_tokenizer (file).
Result<Checkpoint> open_tokenizer_files(const std::filesystem::path& path);

}  // namespace qw
