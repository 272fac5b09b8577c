// GGUF files of the hybrid family, written: the changes of llama.cpp's converter that gguf/hybrid.h puts
// back. Test: tests/golden/gguf_hybrid_write_test.cc
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "core/tensor.h"
#include "io/gguf/writer.h"

namespace qw {

// "qwen35", "qwen35moe", "qwen3next"; "" for a config of another family.
std::string_view gguf_hybrid_architecture(const Json& config);

// A tensor of the file, made of the whole of one weight, row-major.
struct GgufHybridTensor {
  std::string name;
  std::vector<int64_t> shape;
  bool f32 = false;                                                   // whatever the file's format
  std::function<std::vector<float>(std::vector<float>)> change = {};  // empty: as it is
};
// What a weight becomes (two tensors of a fused projection); empty where the general table has it. Experts
// are the general table's.
std::vector<GgufHybridTensor> gguf_hybrid_tensors(const Json& config, std::string_view hf_name,
                                                  const Shape& shape);

// The name under which the general table finds a weight: a layer that drafts is one more of the model's.
std::string gguf_hybrid_alias(const Json& config, const std::string& hf_name);

// The keys between general.name and general.quantization_version, but for general.file_type. Errors:
// gguf.cannot_hold (args key, found), config.*.
Status add_gguf_hybrid(GgufMetadata& metadata, const Json& config);

}  // namespace qw
