// CpuBackend<Real>: checks what a call needs, cuts it into ranges and runs the table's kernels on the pool.
// The members are in host/*.inl by topic; cpu_backend.cc instantiates f32 and f64. Test: tests/backend
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/kernel_table.h"
#include "base/thread_pool.h"

namespace qw::cpu {

constexpr bool mirrors(QuantFormat f, Format mirror) {
  return static_cast<int>(f) == static_cast<int>(mirror);
}
static_assert(kQuantTraits.size() == kFormats);
static_assert(mirrors(QuantFormat::f32, kF32) && mirrors(QuantFormat::f64, kF64) &&
              mirrors(QuantFormat::f16, kF16) && mirrors(QuantFormat::bf16, kBf16) &&
              mirrors(QuantFormat::q8_0, kQ8_0) && mirrors(QuantFormat::q4_0, kQ4_0) &&
              mirrors(QuantFormat::q4_1, kQ4_1) && mirrors(QuantFormat::q5_0, kQ5_0) &&
              mirrors(QuantFormat::q5_1, kQ5_1) && mirrors(QuantFormat::q2_k, kQ2K) &&
              mirrors(QuantFormat::q3_k, kQ3K) && mirrors(QuantFormat::q4_k, kQ4K) &&
              mirrors(QuantFormat::q5_k, kQ5K) && mirrors(QuantFormat::q6_k, kQ6K) &&
              mirrors(QuantFormat::iq1_s, kIq1S) && mirrors(QuantFormat::iq1_m, kIq1M) &&
              mirrors(QuantFormat::iq2_xxs, kIq2Xxs) && mirrors(QuantFormat::iq2_xs, kIq2Xs) &&
              mirrors(QuantFormat::iq2_s, kIq2S) && mirrors(QuantFormat::iq3_xxs, kIq3Xxs) &&
              mirrors(QuantFormat::iq3_s, kIq3S) && mirrors(QuantFormat::iq4_nl, kIq4Nl) &&
              mirrors(QuantFormat::iq4_xs, kIq4Xs) && mirrors(QuantFormat::mxfp4, kMxfp4) &&
              mirrors(QuantFormat::nvfp4, kNvfp4) && mirrors(QuantFormat::tq1_0, kTq1_0) &&
              mirrors(QuantFormat::tq2_0, kTq2_0) && mirrors(QuantFormat::q1_0, kQ1_0) &&
              mirrors(QuantFormat::q2_0, kQ2_0) && mirrors(QuantFormat::int4_32, kInt4_32) &&
              mirrors(QuantFormat::scb8_128, kScb8_128) && mirrors(QuantFormat::nvfp4_s, kNvfp4S));
static_assert(static_cast<int>(DType::f32) == kNumF32 && static_cast<int>(DType::f64) == kNumF64 &&
              static_cast<int>(DType::f16) == kNumF16 && static_cast<int>(DType::bf16) == kNumBf16);

// Leading dimensions of a tensor flattened: row i and its address, whatever the strides.
template <class T>
class RowsOf {
 public:
  RowsOf(const Tensor& t, int row_rank = 1) : base_(static_cast<T*>(t.device_ptr())) {
    outer_ = t.rank() - row_rank;
    for (int i = 0; i < outer_; ++i) {
      dims_[i] = t.dim(i);
      strides_[i] = t.stride(i);
      n_ *= dims_[i];
    }
    dense_ = true;
    for (int i = 0; i + 1 < outer_; ++i) dense_ = dense_ && strides_[i] == strides_[i + 1] * dims_[i + 1];
  }
  int64_t n() const { return n_; }
  T* operator[](int64_t i) const {
    if (outer_ == 0) return base_;
    if (dense_) return base_ + i * strides_[outer_ - 1];
    T* p = base_;
    for (int d = outer_ - 1; d >= 0; --d) {
      p += i % dims_[d] * strides_[d];
      i /= dims_[d];
    }
    return p;
  }

 private:
  T* base_;
  int outer_;
  int64_t n_ = 1;
  int64_t dims_[kMaxRank] = {};
  int64_t strides_[kMaxRank] = {};
  bool dense_;
};

template <class Real>
class CpuBackend final : public Backend {
 public:
  CpuBackend(const KernelTable<Real>& table, std::string name, int threads, Products products);

  std::string_view name() const override { return name_; }
  DType real() const override { return sizeof(Real) == 4 ? DType::f32 : DType::f64; }

  Result<StoragePtr> alloc(size_t bytes) override;
  Result<StoragePtr> import_host(std::span<const std::byte> bytes,
                                 std::shared_ptr<const void> holder) override;
  void upload(const Tensor& dst, const void* src) override;
  void download(void* dst, const Tensor& src) override;

  void copy(const Tensor& dst, const Tensor& src) override;
  void fill(const Tensor& dst, double value) override;
  void add(const Tensor& out, const Tensor& a, const Tensor& b) override;
  void scale(const Tensor& out, const Tensor& a, double s) override;
  void axpy(const Tensor& y, double a, const Tensor& x) override;
  void silu_mul(const Tensor& out, const Tensor& gate, const Tensor& up) override;
  void silu_mul_backward(const Tensor& dgate, const Tensor& dup, const Tensor& gate, const Tensor& up,
                         const Tensor& dout) override;

  void sigmoid(const Tensor& out, const Tensor& x) override;
  void sigmoid_backward(const Tensor& dx, const Tensor& out, const Tensor& dout) override;
  void sigmoid_mul(const Tensor& out, const Tensor& gate, const Tensor& x) override;
  void sigmoid_mul_backward(const Tensor& dgate, const Tensor& dx, const Tensor& gate, const Tensor& x,
                            const Tensor& dout) override;

  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, double eps) override;
  void rms_norm_backward(const Tensor& dx, const Tensor& dw, const Tensor& x, const Tensor& w, double eps,
                         const Tensor& dout) override;
  void embedding(const Tensor& out, const Tensor& ids, const Weight& w) override;
  void embedding_backward(const Tensor& dw, const Tensor& ids, const Tensor& dout) override;
  void gather_rows(const Tensor& out, const Tensor& x, const Tensor& rows) override;
  void scatter_add_rows(const Tensor& dx, const Tensor& rows, const Tensor& dout) override;

  void rope_table(const Tensor& table, const Tensor& positions, const Tensor& inv_freq,
                  double scale) override;
  void rope(const Tensor& out, const Tensor& x, const Tensor& table, bool inverse) override;

  void linear(const Tensor& out, const Tensor& x, const Weight& w, const Tensor& bias) override;
  void linear_dx(const Tensor& dx, const Tensor& dout, const Weight& w) override;
  void linear_dw(const Tensor& dw, const Tensor& dout, const Tensor& x) override;
  void sum_rows(const Tensor& db, const Tensor& dout) override;

  void route(const Tensor& weights, const Tensor& experts, const Tensor& logits, bool normalise) override;
  void route_backward(const Tensor& dlogits, const Tensor& logits, const Tensor& experts, bool normalise,
                      const Tensor& dweights) override;
  void expert_linear(const Tensor& out, const Tensor& x, std::span<const Weight> w,
                     std::span<const int32_t> offsets) override;
  void combine_rows(const Tensor& out, const Tensor& y, const Tensor& places, const Tensor& weights) override;
  void combine_rows_backward(const Tensor& dy, const Tensor& dweights, const Tensor& y, const Tensor& places,
                             const Tensor& weights, const Tensor& dout) override;
  void gate_rows(const Tensor& out, const Tensor& x, const Tensor& gate) override;
  void gate_rows_backward(const Tensor& dx, const Tensor& dgate, const Tensor& x, const Tensor& gate,
                          const Tensor& dout) override;

  void kv_store(const PagedKv& kv, const Tensor& k, const Tensor& v, const Tensor& slots) override;
  void attention_paged(const Tensor& out, const AttnArgs& args, const PagedKv& kv) override;
  void attention_dense(const Tensor& out, const Tensor& lse, const AttnArgs& args, const Tensor& k,
                       const Tensor& v) override;
  void attention_dense_backward(const AttnGrads& grads, const AttnArgs& args, const Tensor& k,
                                const Tensor& v, const Tensor& out, const Tensor& lse,
                                const Tensor& dout) override;

  void causal_conv(const Tensor& out, const Tensor& x, const Tensor& w, const RecurrentRows& rows) override;
  void causal_conv_backward(const Tensor& dx, const Tensor& dw, const Tensor& x, const Tensor& w,
                            const AttnPlan& plan, const Tensor& dout) override;
  void delta_decay(const Tensor& g, const Tensor& a, const Tensor& a_log, const Tensor& dt_bias) override;
  void delta_decay_backward(const DecayGrads& grads, const Tensor& a, const Tensor& a_log,
                            const Tensor& dt_bias, const Tensor& dg) override;
  void gated_delta(const Tensor& out, const DeltaArgs& args, const RecurrentRows& rows) override;
  void gated_delta_backward(const DeltaGrads& grads, const DeltaArgs& args, const AttnPlan& plan,
                            const Tensor& dout) override;

  void cross_entropy(const Tensor& loss, const Tensor& logits, const Tensor& targets) override;
  void cross_entropy_backward(const Tensor& dlogits, const Tensor& logits, const Tensor& targets,
                              const Tensor& dloss) override;
  void divergence(const Tensor& loss, const Tensor& dlogits, const Tensor& logits, const Tensor& teacher,
                  const Tensor& weight, const DivergenceArgs& args) override;
  void dropout(const Tensor& out, const Tensor& x, double p, uint64_t key) override;
  void sum(const Tensor& out, const Tensor& x) override;
  void sum_squares(const Tensor& out, const Tensor& x) override;
  void adamw(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
             const AdamWArgs& args) override;

 private:
  static Real* ptr(const Tensor& t) { return static_cast<Real*>(t.device_ptr()); }
  static const int32_t* ints(const Tensor& t) { return static_cast<const int32_t*>(t.device_ptr()); }
  static const uint8_t* bytes(const Weight& w) { return static_cast<const uint8_t*>(w.data.device_ptr()); }
  static int64_t weight_row(const Weight& w) { return row_bytes(w.format, w.cols()); }
  // The weight as it lies in memory where it holds aligned numbers of the backend's type, else null.
  static const Real* real_rows(const Weight& w) {
    const bool same = storage_dtype(w.format) == (sizeof(Real) == 4 ? DType::f32 : DType::f64);
    const auto address = reinterpret_cast<uintptr_t>(w.data.device_ptr());
    return same && address % sizeof(Real) == 0 ? reinterpret_cast<const Real*>(address) : nullptr;
  }
  static Format format(const Weight& w) { return static_cast<Format>(w.format); }

  // Scratch of a thread, at least `elements` long; grows before a loop starts, never inside one.
  void reserve_scratch(int64_t elements);
  Real* scratch(int thread) { return scratch_[static_cast<size_t>(thread)].get(); }

  // fn(begin, end) over [0, n) where an item costs about `cost` element operations: small calls run inline.
  template <class Fn>
  void split(int64_t n, int64_t cost, Fn fn);
  // fn(pointers…, n): one flat run where all are contiguous, else row by row.
  template <class Fn, class... Ts>
  void elementwise(int64_t cost, Fn fn, const Ts&... tensors);

  // C[m, n] (+)= A[m, k] · B[k, n] (+ bias[n]); element (i, j) of A at a[i · a_row + j · a_col], one of
  // them 1.
  struct Product {
    Real* c;
    const Real* a;
    const Real* bias;  // null: none
    int64_t m, n, k;
    int64_t ldc, a_row, a_col;
    bool add;
  };
  struct ProductBlock {
    int64_t row, row_end, column, columns, k, depth;
  };
  // pack_b(dst, column, columns, k, depth, thread) packs a block of B; it may use the scratch of its thread.
  template <class PackB>
  void packed_product(const ProductKernels<Real>& kernels, const Product& p, PackB pack_b);
  void product_block(const ProductKernels<Real>& kernels, const Product& p, const ProductBlock& b,
                     const Real* packed_b, Real* scratch);
  void reserve_packed(int64_t elements);
  LinearCall<Real> linear_call(const Tensor& out, const Tensor& x, const Weight& w, const Tensor& bias) const;
  int64_t linear_grain(int64_t tiles, int64_t m, int64_t k) const;  // tiles a task, m rows of x
  void linear_packed(const Tensor& out, const Tensor& x, const Weight& w, const Tensor& bias);

  void copy_strided(const Tensor& dst, const Tensor& src, int64_t row);
  void reduce_to(const Tensor& out, const Tensor& x, double (*kernel)(const Real*, int64_t));

  // Weight::input_order (host/ordered.inl).
  Tensor ordered_room(int64_t m, int64_t k);
  void to_order(const Tensor& to, const Tensor& x, const Weight& w);
  void from_order(const Tensor& to, const Tensor& y, const Weight& w);
  Tensor in_order(const Tensor& x, const Weight& w);

  // Ranges of query rows and heads that attention runs on a thread.
  void plan_queries(const AttnArgs& args, int kv_heads, const int32_t* tables, int64_t max_blocks);
  AttnCall<Real> attn_call(const AttnArgs& args, int kv_heads, const Tensor& out) const;
  AttnCall<Real> dense_call(const AttnArgs& args, const Tensor& out, const Tensor& k, const Tensor& v) const;
  // fn(i, scratch) for i in [0, n), one unit of attention at a time.
  template <class Fn>
  void run_units(int64_t n, int64_t hd, Fn fn);

  // The weight of a convolution as [taps, channels], in `transposed_`.
  const Real* transposed(const Tensor& w);
  // Where the state of sequence s lies, and where its copy after row `save` of the plan goes.
  static Real* state_row(const RecurrentRows& rows, int64_t slot) {
    return ptr(rows.state) + slot * rows.state.stride(0) + rows.offset;
  }
  // fn(first row, end row, slot) for the runs of the rows of sequence s between states that are saved; slot
  // −1: the last run, whose state is the sequence's own.
  template <class Fn>
  static void between_saves(const RecurrentRows& rows, size_t s, Fn fn);
  void check_recurrent(std::string_view op, const RecurrentRows& rows, int64_t n_rows, int64_t size) const;
  static DeltaCall<Real> delta_call(const DeltaArgs& args, const Tensor& out);

  struct Free {
    void operator()(Real* p) const { std::free(p); }
  };

  KernelTable<Real> table_;
  const ProductKernels<Real>* products_;  // of gradients, and of `linear` where packs_forward_
  bool packs_forward_;
  std::string name_;
  ThreadPool pool_;
  std::vector<std::unique_ptr<Real, Free>> scratch_;
  int64_t scratch_elements_ = 0;
  std::unique_ptr<Real, Free> packed_;  // panels of B, shared by the threads of a product
  int64_t packed_elements_ = 0;
  StoragePtr ordered_;           // columns in the order of a weight
  std::vector<AttnUnit> units_;  // of the running call; kept for its capacity
  std::vector<AttnBackwardUnit> backward_units_;
  std::vector<int> active_experts_;
  std::vector<Real> deltas_;   // of a backward attention
  std::vector<Real> partial_;  // sums over pieces of rows
  std::vector<Real> transposed_;
};

}  // namespace qw::cpu
