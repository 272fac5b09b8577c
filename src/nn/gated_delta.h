// The linear attention of Qwen3-Next and Qwen3.5: Gated DeltaNet between its projections. Test: tests/golden
// (against the reference library), tests/property (paths_agree)
#pragma once

#include "core/batch.h"
#include "nn/modules.h"
#include "ops/gated_delta.h"

namespace qw::nn {

// What the input is projected by: each part by a weight of its own (Qwen3.5); q, k, v, z of a key head side
// by side in one weight, and b, a in another (Qwen3-Next); only the latter (Qwen3-Next in a GGUF file).
enum class DeltaLayout { parts, fused, fused_gates };

struct GatedDelta {
  ops::DeltaShape shape;  // before visit()
  DeltaLayout layout = DeltaLayout::parts;
  Linear qkv, z, b, a;    // [C, D], [Hv · dv, D], [Hv, D] twice
  Linear qkvz, ba;        // the same where fused
  Weight conv;            // [C, 1, taps]
  Weight a_log, dt_bias;  // [Hv]
  RmsNorm norm;           // [dv], of every head, before the gate silu(z)
  Linear out;             // [D, Hv · dv]

  void visit(Visitor& v, std::string_view name, int64_t hidden);
  // x [T, D] → the same. State: ops/gated_delta.h.
  Tensor operator()(Ctx& cx, const Tensor& x, const AttnPlan& plan, int layer) const;

 private:
  struct Inputs {
    Tensor qkv, z, b, a;
  };
  Inputs project_in(Ctx& cx, const Tensor& x) const;
};

}  // namespace qw::nn
