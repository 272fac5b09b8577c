// The config of the hybrid family (hybrid.h). Test: tests/golden/hybrid_test.cc, tests/nn/text_config_test.cc
#pragma once

#include <vector>

#include "models/model.h"
#include "nn/gated_delta.h"
#include "nn/mlp.h"
#include "ops/gated_delta.h"
#include "ops/rope.h"

namespace qw {

struct HybridConfig {
  ModelInfo info;
  int heads = 0, kv_heads = 0, head_dim = 0, ffn = 0;
  double eps = 0;
  bool tied = false, attention_bias = false;
  nn::DeltaLayout layout = nn::DeltaLayout::parts;
  ops::DeltaShape delta;
  ops::RopeSpec rope;
  std::vector<bool> linear;  // [L] the layer is a Gated DeltaNet
  std::vector<bool> sparse;  // [L] the layer has experts
  nn::MoeConfig moe;
  int mtp_layers = 0;  // 0 or 1; its MLP is sparse where the model has experts at all

  bool has_experts() const { return moe.experts > 0; }
};

Result<HybridConfig> parse_hybrid_config(const Json& json, std::vector<Error>& warnings);

}  // namespace qw
