// GGUF files of the hybrid family (architectures qwen35, qwen35moe and qwen3next), read: what llama.cpp's
// converter (0.7, conversion/qwen.py) changed is put back. It adds 1 to every norm but the delta net's,
// stores −e^A_log, orders value heads [v of k0, v of k1, …, second v of k0, …] (qwen35, qwen35moe), parts the
// fused q, k, v, z of qwen3next, and counts the drafting layer (MTP) as one more block. Test:
// tests/golden/gguf_hybrid_write_test.cc, tests/golden/shared_golden_test.cc
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "io/gguf/gguf.h"
#include "io/gguf/tokenizer.h"
#include "io/stored_weights.h"

namespace qw {

bool is_gguf_hybrid(std::string_view architecture);

// config.json of such a file. A key of our own: linear_split_qkvz (qwen3next: the parts stay apart). Errors:
// gguf.key_missing, gguf.key_type, gguf.key_value, gguf.tensor_missing.
Result<Json> gguf_hybrid_config(const GgufFile& file, const std::optional<GgufTokenizer>& tokenizer);

// The Hugging Face name of a tensor of such a file, and in `t` how to put it back; none where the general
// table (gguf/names.h) has it. `config` is gguf_hybrid_config's.
std::optional<std::string> gguf_hybrid_tensor(const Json& config, std::string_view gguf_name,
                                              StoredTensor& t);

// Weights of such a file may lie in an order that Hugging Face folders and adapters do not have (the key
// above). Errors: gguf.own_layout (args key).
Status check_hub_layout(const Json& config);

}  // namespace qw
