// The quantised weights of a Hugging Face checkpoint: each module's tensors (codes, scales, zero points,
// order of columns) become one weight under its ordinary name, MODULE.weight, [N, K]. Spec: docs/io.md,
// "Quantised folders". Test: tests/io/hf_quantised_test.cc, tests/golden/quantised_golden_test.cc
#pragma once

#include <map>
#include <set>
#include <string>

#include "io/hf/quantization.h"
#include "io/hf/safetensors.h"
#include "io/stored_weights.h"

namespace qw {

struct QuantisedTensors {
  std::map<std::string, StoredTensor, std::less<>> weights;
  std::set<std::string, std::less<>> used;  // names in the files
  // Biases of zeros beside GPTQ's and AWQ's weights: exporters write one for every module, also where the
  // model has none.
  std::set<std::string, std::less<>> zero_biases;
};

// Errors: hf.quant_missing (args file, tensor, missing), hf.quant_tensor (file, tensor, expected, found),
// hf.quant_order (file, tensor, groups, columns), hf.quant_no_group (file, tensor), hf.quant_columns (file,
// tensor, found), hf.quant_state (file, tensor, key), hf.f8_stacked (file, tensor).
Result<QuantisedTensors> quantised_tensors(const HfQuantization& quantization, const SafetensorsSet& set);

}  // namespace qw
