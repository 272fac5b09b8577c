// LoRA adapters as GGUF files, as llama.cpp loads them (--lora): general.type "adapter", adapter.type "lora",
// adapter.lora.alpha; tensors NAME.lora_a [r, K] and NAME.lora_b [N, r], scale alpha / r. Spec:
// src/llama-adapter.cpp of llama.cpp. Test: tests/golden/gguf_adapter_golden_test.cc
#pragma once

#include <filesystem>

#include "base/json.h"
#include "io/peft/peft.h"

namespace qw {

// The two kinds of adapter file: a folder is PEFT's, a file is GGUF. `config` is that of the model, `weights`
// its weights. Errors: those of read_peft_adapter; for GGUF peft.tensor, weights.missing, weights.shape,
// gguf.key_missing, gguf.key_value (another architecture, another kind of adapter), gguf.*, file_kind.*.
Result<LoraAdapter> read_adapter(const std::filesystem::path& path, const Json& config,
                                 const std::vector<Weight*>& weights, Backend& backend,
                                 bool trainable = false);

// Tensors in `format` (f32, f16, bf16, q8_0), f16 where a row is no whole number of its blocks, as
// llama.cpp's converter has it. What alpha / r cannot say (ranks and alphas of single modules) goes into B.
// Errors: gguf.cannot_hold (args key, found: an adapter on a head that is the embedding), save.overflow
// (tensor, format), file.write.
Status write_gguf_adapter(const std::filesystem::path& file, const LoraAdapter& adapter, const Json& config,
                          Backend& backend, QuantFormat format = QuantFormat::f32);

}  // namespace qw
