// PEFT LoRA adapters (Hugging Face's library): a folder with adapter_config.json and
// adapter_model.safetensors. Spec: LoraConfig and save_pretrained of PEFT 0.21; keys that change the
// computation and are not known here are refused by name, never passed over.
// Test: tests/io/peft_test.cc, tests/golden/peft_golden_test.cc (logits against PEFT)
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/adapter.h"
#include "core/backend.h"

namespace qw {

// What adapter_config.json says. A module is a weight's name without ".weight"; the head of a model whose
// head is its embedding is "lm_head".
struct LoraSpec {
  int rank = 8;
  double alpha = 8.0;
  double dropout = 0.0;  // while training
  bool rslora = false;   // scale alpha / √rank (Kalajdzievski 2023) instead of alpha / rank
  // A module belongs to the adapter if it is one of these or ends with "." + one of these; "all-linear":
  // every matrix but the embedding and the head.
  std::vector<std::string> targets = {};
  std::string base_model = {};  // base_model_name_or_path
  // Other ranks and alphas of some modules; the first key that a module is or ends with counts. Letters,
  // digits, "_", "-", "." (any character) and a leading "^" (the whole name).
  std::vector<std::pair<std::string, int>> rank_pattern = {};
  std::vector<std::pair<std::string, double>> alpha_pattern = {};
};

int lora_rank(const LoraSpec& spec, std::string_view module);
double lora_scale(const LoraSpec& spec, std::string_view module);

struct LoraAdapter {
  LoraSpec spec;
  // By weight name, as ops::linear looks it up. Weights are real() and called module + ".lora_A.weight" and
  // ".lora_B.weight".
  std::shared_ptr<AdapterSet> set;
  // peft.unknown_key (args file, key); peft.copy_unread (file, tensor: a copy of the embedding or the head
  // that could not be compared with a quantised one).
  std::vector<Error> warnings = {};
};

// `weights` are those of the model the adapter is for (WeightList over Model::visit; they need no data).
// Tensors may be F32, F16 or BF16. Errors: peft.no_config, peft.no_weights, peft.pickle (args file);
// peft.key (file, key, expected, found); peft.unsupported (file, key, found); peft.tensor (file, tensor: it
// belongs to no matrix of the model); peft.copy_differs (file, tensor: an embedding or a head of its own);
// peft.not_target (file, tensor); peft.empty (file); weights.shape,
// weights.missing, hf.dtype, safetensors.*, json.*, file.*, memory.exhausted.
Result<LoraAdapter> read_peft_adapter(const std::filesystem::path& folder,
                                      const std::vector<Weight*>& weights, Backend& backend,
                                      bool trainable = false);

// A new trainable adapter that changes nothing yet, as PEFT makes it: A from U(−1/√K, 1/√K)
// (kaiming_uniform with a = √5), B zero. The numbers of a weight depend on the seed and its name alone.
// Errors: lora.value (args key, found, expected), lora.no_target (target), memory.exhausted.
Result<LoraAdapter> make_lora_adapter(const LoraSpec& spec, const std::vector<Weight*>& weights,
                                      Backend& backend, uint64_t seed);

// Writes both files, tensors as F32, for PeftModel.from_pretrained. A folder that is there already keeps its
// other files (staged_folder.h). Errors: file.write.
Status write_peft_adapter(const std::filesystem::path& folder, const LoraAdapter& adapter, Backend& backend);

// "model.layers.0.mlp.up_proj.weight" → "model.layers.0.mlp.up_proj"; the embedding, where it serves as the
// head, → "lm_head".
std::string lora_module(std::string_view weight_name);

}  // namespace qw
