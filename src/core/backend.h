// Backend: what a device can compute, at the grain of one kernel call. Ops (src/ops) check shapes, allocate
// outputs and record gradients; a backend only computes. Every tensor it gets lies in its own memory.
// Test: tests/backend (against composed or naive twins), tests/ops (gradient checks).
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/result.h"
#include "core/batch.h"
#include "core/tensor.h"
#include "core/weight.h"

namespace qw {

// One call of attention over a ragged batch. Softmax is over scale · q·k with a causal mask: query row t of
// sequence s, at absolute position p, sees keys at positions max(0, p − window + 1) … p (window 0: all of 0 …
// p). GQA: query head h reads KV head h / (H / K).
struct AttnArgs {
  Tensor q;                            // [T, H, hd]
  Tensor cu_q;                         // i32 [S + 1]: rows of sequence s are cu_q[s] … cu_q[s+1] − 1
  std::span<const int32_t> host_cu_q;  // the same numbers, for planning the call
  std::span<const int32_t>
      host_kv_len;  // [S]: keys of sequence s, this step's included; its query rows are the last positions
  double scale = 1.0;
  int window = 0;
};

// KV pages as KvPool lays them out; P = 32 tokens a page.
struct PagedKv {
  Tensor
      k;  // [n_pages, K, hd, P], f32 or f16 (real() for f64): transposed, so that scores vectorise over keys
  Tensor v;            // [n_pages, K, P, hd]
  Tensor block_table;  // i32 [S, max_blocks]: page of the n-th 32 tokens of a sequence
};

struct AdamWArgs {
  double lr, beta1, beta2, eps, weight_decay;
  int64_t step;       // 1 for the first update: bias correction
  double grad_scale;  // multiplies the gradient first (clipping)
};

// How far a student's distribution is from a teacher's, both softmax(logits / temperature). With s and t the
// two and m = beta · t + (1 − beta) · s: beta 0 is KL(t ‖ s), 1 is KL(s ‖ t), between them the generalised
// Jensen-Shannon divergence beta · KL(t ‖ m) + (1 − beta) · KL(s ‖ m) (Agarwal et al. 2024, GKD).
struct DivergenceArgs {
  double beta = 0.0;
  double temperature = 1.0;
};

// A layer whose past is a state of fixed size. Where `state` is defined, sequence s of the plan goes on from
// row plan.state_slots[s], elements [offset, offset + size of this part), and leaves its new state there; the
// state after row r of the step also goes to the slots that plan.state_saves names. Where it is not, every
// sequence is a document that begins from zeros.
struct RecurrentRows {
  const AttnPlan& plan;
  Tensor state;  // real [n_slots, floats], or undefined
  int64_t offset = 0;
};

// Gated DeltaNet (Yang et al. 2024): per head, with S [dk, dv], q and k normalised (|x|² + 1e-6) and q / √dk:
// S ← e^g S; δ = beta (v − Sᵀk); S ← S + k δᵀ; out = Sᵀq. Value head h reads key head h / (Hv / Hk).
struct DeltaArgs {
  Tensor qkv;   // [T, 2 · Hk · dk + Hv · dv]: q | k | v
  Tensor g;     // [T, Hv], ≤ 0
  Tensor beta;  // [T, Hv]
  int k_heads = 0, v_heads = 0, k_dim = 0, v_dim = 0;
  bool chunked = false;  // chunks of 64 rows from the sequence's first row of the step on, else row by row
};

// Rules for all kernels unless said otherwise:
//  - "real" tensors have dtype real() (f32; f64 for the backend of the gradient checks) and dense rows
//    (stride(-1) == 1). Outputs are contiguous. T, D, … as in docs/design.md §5.12.
//  - sums accumulate in real() or wider; a row's bits never depend on the other rows of the call, on the
//    number of threads or on where the rows of a step were cut (docs/design.md §3, "A row's result does not
//    depend on its company").
//  - *_backward kernels ADD into weight gradients (dw, db) and OVERWRITE activation gradients (dx, dq, …).
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;  // "cpu/avx512"
  virtual DType real() const = 0;

  // --- memory. Addresses are 64-byte aligned. Errors: memory.exhausted (args bytes).
  virtual Result<StoragePtr> alloc(size_t bytes) = 0;
  // Device storage with these bytes; where the device can read host memory nothing is copied and `holder`
  // keeps it alive.
  virtual Result<StoragePtr> import_host(std::span<const std::byte> bytes,
                                         std::shared_ptr<const void> holder) = 0;
  virtual void upload(const Tensor& dst, const void* src) = 0;  // contiguous dst, dst.bytes() bytes
  virtual void download(void* dst, const Tensor& src) = 0;      // contiguous src; waits for all work on it

  // --- element-wise
  virtual void copy(
      const Tensor& dst,
      const Tensor& src) = 0;  // any strides, converts between f32 f64 f16 bf16 (round to nearest even)
  virtual void fill(const Tensor& dst, double value) = 0;  // contiguous real
  virtual void add(const Tensor& out, const Tensor& a, const Tensor& b) = 0;
  virtual void scale(const Tensor& out, const Tensor& a, double s) = 0;
  virtual void axpy(const Tensor& y, double a, const Tensor& x) = 0;  // y += a x
  virtual void silu_mul(const Tensor& out, const Tensor& gate,
                        const Tensor& up) = 0;  // silu(gate) · up, [T, F]
  virtual void silu_mul_backward(const Tensor& dgate, const Tensor& dup, const Tensor& gate, const Tensor& up,
                                 const Tensor& dout) = 0;

  virtual void sigmoid(const Tensor& out, const Tensor& x) = 0;
  virtual void sigmoid_backward(const Tensor& dx, const Tensor& out, const Tensor& dout) = 0;
  virtual void sigmoid_mul(const Tensor& out, const Tensor& gate, const Tensor& x) = 0;  // sigmoid(gate) · x
  virtual void sigmoid_mul_backward(const Tensor& dgate, const Tensor& dx, const Tensor& gate,
                                    const Tensor& x, const Tensor& dout) = 0;

  // --- rows
  // out = x / sqrt(mean(x²) + eps) · w over the last dimension; x [..., D], w real [D].
  virtual void rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, double eps) = 0;
  // dw may be undefined (frozen weight).
  virtual void rms_norm_backward(const Tensor& dx, const Tensor& dw, const Tensor& x, const Tensor& w,
                                 double eps, const Tensor& dout) = 0;
  // out[t] = row ids[t] of w, dequantised; ids i32 [T].
  virtual void embedding(const Tensor& out, const Tensor& ids, const Weight& w) = 0;
  virtual void embedding_backward(const Tensor& dw, const Tensor& ids, const Tensor& dout) = 0;
  virtual void gather_rows(const Tensor& out, const Tensor& x,
                           const Tensor& rows) = 0;  // out[r] = x[rows[r]]
  virtual void scatter_add_rows(const Tensor& dx, const Tensor& rows,
                                const Tensor& dout) = 0;  // dx[rows[r]] += dout[r]

  // --- rotary positions, half-split form: pair i is (x[i], x[i + rot/2]) within the first `rot` dims; the
  // rest passes through. table [T, rot/2, 2] = (cos, sin)(positions[t] · inv_freq[i]) · scale; the angle is
  // rounded to f32 first, as the reference does.
  virtual void rope_table(const Tensor& table, const Tensor& positions, const Tensor& inv_freq,
                          double scale) = 0;
  virtual void rope(const Tensor& out, const Tensor& x, const Tensor& table,
                    bool inverse) = 0;  // x [T, H, hd], may be out; inverse: −sin (its backward)

  // --- matrix products
  // out[t, n] = Σ_k x[t, k] w[n, k] + bias[n]; x [T, K], w any format [N, K], bias real [N] or undefined.
  virtual void linear(const Tensor& out, const Tensor& x, const Weight& w, const Tensor& bias) = 0;
  virtual void linear_dx(const Tensor& dx, const Tensor& dout, const Weight& w) = 0;  // dx = dout · w
  virtual void linear_dw(const Tensor& dw, const Tensor& dout, const Tensor& x) = 0;  // dw += doutᵀ · x
  virtual void sum_rows(const Tensor& db, const Tensor& dout) = 0;  // db[n] += Σ_t dout[t, n]

  // --- mixture of experts
  // p = softmax(logits[t]) over E; experts[t] = the k indices of the largest p, largest first, ties to the
  // lower index; weights[t, j] = p[experts[t, j]], with `normalise` divided by their sum. logits [T, E],
  // weights [T, k], experts i32 [T, k], k ≤ E.
  virtual void route(const Tensor& weights, const Tensor& experts, const Tensor& logits, bool normalise) = 0;
  virtual void route_backward(const Tensor& dlogits, const Tensor& logits, const Tensor& experts,
                              bool normalise, const Tensor& dweights) = 0;
  // Rows offsets[e] … offsets[e+1] − 1 of out [R, N] are those rows of x [R, K] times w[e]ᵀ, each [N, K] of
  // any format; offsets (host) [E + 1]. The bits are those of `linear`. Weights without rows are not touched.
  virtual void expert_linear(const Tensor& out, const Tensor& x, std::span<const Weight> w,
                             std::span<const int32_t> offsets) = 0;
  // out[t] = Σ_j weights[t, j] · y[places[t, j]], in the order of j. y [R, D], places i32 [T, k] (no place
  // twice), out [T, D].
  virtual void combine_rows(const Tensor& out, const Tensor& y, const Tensor& places,
                            const Tensor& weights) = 0;
  virtual void combine_rows_backward(const Tensor& dy, const Tensor& dweights, const Tensor& y,
                                     const Tensor& places, const Tensor& weights, const Tensor& dout) = 0;
  // out[t] = sigmoid(gate[t]) · x[t]; x [T, D], gate [T, 1].
  virtual void gate_rows(const Tensor& out, const Tensor& x, const Tensor& gate) = 0;
  virtual void gate_rows_backward(const Tensor& dx, const Tensor& dgate, const Tensor& x, const Tensor& gate,
                                  const Tensor& dout) = 0;

  // --- attention
  // Writes row t of k, v [T, K, hd] at slots[t] = page · 32 + offset; slots i32 [T].
  virtual void kv_store(const PagedKv& kv, const Tensor& k, const Tensor& v, const Tensor& slots) = 0;
  virtual void attention_paged(const Tensor& out, const AttnArgs& args, const PagedKv& kv) = 0;
  // Keys and values of the batch itself: k, v [T, K, hd]. lse [T, H] (log-sum-exp of the scaled scores) may
  // be undefined.
  virtual void attention_dense(const Tensor& out, const Tensor& lse, const AttnArgs& args, const Tensor& k,
                               const Tensor& v) = 0;
  struct AttnGrads {
    Tensor dq, dk, dv;
  };
  virtual void attention_dense_backward(const AttnGrads& grads, const AttnArgs& args, const Tensor& k,
                                        const Tensor& v, const Tensor& out, const Tensor& lse,
                                        const Tensor& dout) = 0;

  // --- recurrent layers
  // out[t, c] = silu(Σ_j w[c, j] · x[t − taps + 1 + j, c]) inside each sequence; x [T, C], w real [C, taps].
  // The state part is [taps − 1, C]: the inputs before the next row.
  virtual void causal_conv(const Tensor& out, const Tensor& x, const Tensor& w,
                           const RecurrentRows& rows) = 0;
  // Documents alone. dw [C, taps] may be undefined.
  virtual void causal_conv_backward(const Tensor& dx, const Tensor& dw, const Tensor& x, const Tensor& w,
                                    const AttnPlan& plan, const Tensor& dout) = 0;
  // g[t, h] = −e^a_log[h] · softplus(a[t, h] + dt_bias[h]); [T, Hv], vectors real [Hv].
  virtual void delta_decay(const Tensor& g, const Tensor& a, const Tensor& a_log, const Tensor& dt_bias) = 0;
  // da_log and ddt_bias may be undefined.
  struct DecayGrads {
    Tensor da, da_log, ddt_bias;
  };
  virtual void delta_decay_backward(const DecayGrads& grads, const Tensor& a, const Tensor& a_log,
                                    const Tensor& dt_bias, const Tensor& dg) = 0;
  // out [T, Hv, dv]. The state part is [Hv, dk, dv]. Row by row the bits of a row are the same wherever a
  // step was cut; in chunks they are another rounding of the same sums.
  virtual void gated_delta(const Tensor& out, const DeltaArgs& args, const RecurrentRows& rows) = 0;
  struct DeltaGrads {
    Tensor dqkv, dg, dbeta;
  };
  // Documents alone. Memory: the states inside one chunk and at the borders of one document's chunks, a
  // thread.
  virtual void gated_delta_backward(const DeltaGrads& grads, const DeltaArgs& args, const AttnPlan& plan,
                                    const Tensor& dout) = 0;

  // --- loss and optimiser
  // loss[t] = logsumexp(logits[t]) − logits[t, targets[t]], 0 where targets[t] < 0. logits [T, V], targets
  // i32 [T].
  virtual void cross_entropy(const Tensor& loss, const Tensor& logits, const Tensor& targets) = 0;
  // dlogits[t] = dloss[t] · (softmax(logits[t]) − onehot(targets[t])), 0 where targets[t] < 0.
  virtual void cross_entropy_backward(const Tensor& dlogits, const Tensor& logits, const Tensor& targets,
                                      const Tensor& dloss) = 0;
  // loss[t] = divergence of row t; where dlogits is defined, dlogits[t] = weight[t] · ∂loss[t]/∂logits[t].
  // logits, dlogits [T, V], teacher [T, W]: where V and W differ (padding of the vocabulary) the first min(V,
  // W) entries are compared and the others get no gradient.
  virtual void divergence(const Tensor& loss, const Tensor& dlogits, const Tensor& logits,
                          const Tensor& teacher, const Tensor& weight, const DivergenceArgs& args) = 0;
  // out = x / (1 − p) where element i is kept, else 0; whether it is depends on (key, i) alone, so that a
  // backward (and a recomputed forward) is the same call. Contiguous.
  virtual void dropout(const Tensor& out, const Tensor& x, double p, uint64_t key) = 0;
  virtual void sum(const Tensor& out, const Tensor& x) = 0;          // out [1] = Σ x, accumulated in f64
  virtual void sum_squares(const Tensor& out, const Tensor& x) = 0;  // out [1] = Σ x², accumulated in f64
  // Decoupled weight decay (Loshchilov & Hutter 2019) in torch.optim.AdamW's order; all tensors real, equal
  // shapes.
  virtual void adamw(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
                     const AdamWArgs& args) = 0;
};

}  // namespace qw
