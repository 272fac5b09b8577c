// What a Hugging Face checkpoint says of its quantisation: quantization_config of config.json (also below
// text_config), or quantize_config.json beside it. Spec: the configs of transformers 5.12
// (utils/quantization_config.py), gptqmodel 7.7, autoawq 0.2.9, compressed-tensors 0.20. Test:
// tests/io/hf_quantization_test.cc, tests/fuzz/json_config_fuzz.cc
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "io/hf/pattern.h"

namespace qw {

enum class QuantMethod { gptq, awq, fp8, compressed_tensors, bitsandbytes };

// How the weights of the modules that `targets` name are stored (a config group of compressed-tensors).
struct CompressedGroup {
  enum class Strategy { tensor, channel, group, block };
  std::vector<std::string> names;  // targets: modules
  std::vector<Pattern> patterns;   // targets: expressions ("re:…")
  bool all_linear = false;         // target: the class Linear
  bool packed = false;             // int32 words instead of one byte an element
  bool is_float = false;           // e4m3
  int bits = 8;
  bool symmetric = true;
  Strategy strategy = Strategy::channel;
  int64_t group_size = 0;  // strategy group
  int64_t block_rows = 0;  // strategy block
  int64_t block_cols = 0;
};

struct HfQuantization {
  QuantMethod method = QuantMethod::gptq;
  std::string summary;  // for `qw info`: "gptq, 4 bits, groups of 128, desc_act"

  // gptq, awq
  int bits = 4;
  int64_t group_size = 0;     // -1: one group a row
  bool zero_less_one = true;  // GPTQ version 1: zero points are stored less one
  bool dynamic = false;       // GPTQ: some modules have bits and groups of their own

  // fp8; 0: one scale a tensor
  int64_t block_rows = 0;
  int64_t block_cols = 0;

  std::vector<CompressedGroup> groups;    // compressed-tensors
  std::vector<std::string> unknown_keys;  // keys that no part of qw knows: "quantization_config.foo"

  // The group of a module by the rule of compressed-tensors: its own name first, then expressions, then its
  // class. Null: none.
  const CompressedGroup* group_of(std::string_view module) const;
};

// None where the model is not quantised. `file` names config.json in errors; `folder` is searched for
// quantize_config.json. Errors: hf.quant_method (args file, found), config.* (key, found, expected) with keys
// below "quantization_config.", pattern.unsupported, json.*, file.*.
Result<std::optional<HfQuantization>> read_quantization(const Json& config,
                                                        const std::filesystem::path& file);

// The parser itself.
Result<HfQuantization> parse_quantization(const Json& quantization, std::string_view file);

}  // namespace qw
