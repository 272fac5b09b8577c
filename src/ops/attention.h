// Causal grouped-query attention of a ragged batch, over KV pages or inside the batch. Test:
// tests/ops/ops_test.cc, tests/property/paths_agree_test.cc
#pragma once

#include <vector>

#include "core/batch.h"
#include "core/kv_pool.h"
#include "core/tape.h"

namespace qw::ops {

// The device copies of a plan, made once a step and used by every layer.
struct AttnStep {
  const AttnPlan* plan = nullptr;
  Tensor cu_q;                       // i32 [S + 1]
  std::vector<Tensor> block_tables;  // i32 [S, max_blocks], one a cache group
  std::vector<Tensor> slots;         // i32 [T], one a cache group: where row t is written
};
AttnStep prepare_attention(Ctx& cx, const AttnPlan& plan);

struct AttnSpec {
  int layer = 0;
  double scale = 1.0;
  int window = 0;  // 0: full
};

// q [T, H, hd], k and v [T, K, hd], rotated already → [T, H, hd]. With a pool, k and v are written to their
// pages first and the past is read from there; that path is for inference and refuses a tape. Without one,
// rows attend inside their own sequence.
Tensor attention(Ctx& cx, const Tensor& q, const Tensor& k, const Tensor& v, const AttnStep& step,
                 const AttnSpec& spec);

}  // namespace qw::ops
