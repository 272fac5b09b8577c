// Hugging Face folders: config.json, generation_config.json, the safetensors files, and the hub's cache
// layout. Test: tests/io/hf_folder_test.cc
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "io/generation.h"
#include "io/hf/quantization.h"
#include "io/stored_weights.h"

namespace qw {

// The folder that holds the files: `path` itself, or for a cache folder of the hub (models--org--name) the
// snapshot that refs/main names, else its only snapshot. Errors: hf.no_folder (args file), hf.no_snapshot
// (file), hf.which_snapshot (file, found).
Result<std::filesystem::path> resolve_hf_folder(const std::filesystem::path& path);

struct HfFolder {
  std::filesystem::path folder;  // resolved
  Json config;                   // config.json as it is, in either spelling
  GenerationDefaults generation;
  std::optional<HfQuantization> quantization;  // config then says nothing of it
};

// Reads the JSON files. Errors: hf.no_config (args file), hf.adapter (file: a LoRA adapter alone),
// hf.quant_method (file, found), hf.not_object (file), config.*, generation.value, json.*, file.*.
Result<HfFolder> open_hf_folder(const std::filesystem::path& path);

struct HfWeights {
  std::unique_ptr<StoredWeights> source;
  int64_t total_bytes = 0;  // of the files
  int n_files = 0;
  bool bare_body = false;  // there is no head, and the file's names have no "model." (here they do)
  std::map<std::string, int64_t> other_parts;  // bytes of what is not text, let pass: "model.visual" → …
};

// The tensors of the text model under the names it has alone (hf/text_part.h). Maps model.safetensors or the
// files of model.safetensors.index.json of a resolved folder; of a quantised one (quantization not null) each
// weight stands for all of its tensors. Errors: those of quantised_tensors, hf.pytorch (args file, found: its
// name), hf.no_weights (file), hf.f8 (file, tensor, found), hf.dtype (file, tensor, found), safetensors.*.
Result<HfWeights> open_hf_weights(const std::filesystem::path& folder,
                                  const HfQuantization* quantization = nullptr);

}  // namespace qw
