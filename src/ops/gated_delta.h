// The parts of a Gated DeltaNet layer (Yang et al. 2024) that have a past: a causal convolution and the delta
// rule with decay. The past of a sequence is one state of fixed size (CacheSpec recurrent): the window of the
// convolution [taps − 1, C], then the matrices [Hv, dk, dv]. Test: tests/ops/recurrent_test.cc
#pragma once

#include "core/kv_pool.h"
#include "core/tape.h"

namespace qw::ops {

struct DeltaShape {
  int k_heads = 0, v_heads = 0, k_dim = 0, v_dim = 0;
  int taps = 0;  // of the convolution

  int64_t channels() const { return 2 * int64_t{k_heads} * k_dim + int64_t{v_heads} * v_dim; }
  int64_t conv_floats() const { return int64_t{taps - 1} * channels(); }
  int64_t state_floats() const { return conv_floats() + int64_t{v_heads} * k_dim * v_dim; }
};

// silu of the convolution of x [T, C] with w [C, 1, taps], inside each sequence of the plan. With a pool the
// window is read from and left in the state of `layer`, and the plan's state_saves are honoured; that path is
// for inference and refuses a tape. Without one every sequence begins from zeros.
Tensor causal_conv(Ctx& cx, const Tensor& x, const Weight& w, const AttnPlan& plan, int layer);

// g [T, Hv] = −e^a_log · softplus(a + dt_bias): the logarithm of what a step leaves of the state.
Tensor delta_decay(Ctx& cx, const Tensor& a, const Weight& a_log, const Weight& dt_bias);

// qkv [T, C] after the convolution, g and beta [T, Hv] → [T, Hv, dv]. State as above. With a pool the rows
// are taken one by one, prompts too: the bits of a row are then the same however a prompt was cut, and a
// processor gains little from chunks (docs/ops.md). Without one, in chunks of 64 rows.
Tensor gated_delta(Ctx& cx, const Tensor& qkv, const Tensor& g, const Tensor& beta, const DeltaShape& shape,
                   const AttnPlan& plan, int layer);

}  // namespace qw::ops
