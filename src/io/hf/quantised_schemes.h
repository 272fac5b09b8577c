// One function for each way to keep a quantised weight in several tensors; called by quantised_tensors.
// `module` is the name without ".weight". Errors: see hf/quantised.h.
#pragma once

#include <memory>
#include <string>

#include "io/hf/quantised_parts.h"
#include "io/hf/quantization.h"
#include "io/hf/row_packer.h"

namespace qw {

using Packer = Result<std::shared_ptr<const RowPacker>>;

Packer gptq_packer(const HfQuantization& q, Parts& parts, const std::string& module);
Packer awq_packer(const HfQuantization& q, Parts& parts, const std::string& module);
Packer fp8_packer(const HfQuantization& q, Parts& parts, const std::string& module);
Packer compressed_packer(const HfQuantization& q, Parts& parts, const std::string& module);
Packer bitsandbytes_packer(const HfQuantization& q, Parts& parts, const std::string& module);

// A sorted order of columns that makes the groups of g_idx contiguous; empty where they are already. Each of
// the groups must have `group` columns.
Result<std::vector<int32_t>> column_order(const Part& g_idx, const std::string& name, int64_t group);

// e4m3 codes [N, K] with scales (any grid whose cols_per is a multiple of 32, or not smaller than K).
Packer e4m3_packer(const Part& codes, const std::string& name, const ScaleGrid& scales);

}  // namespace qw
