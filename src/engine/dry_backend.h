// DryBackend: address space without memory and kernels that do nothing. A forward pass on it allocates what
// a real one would, so that a memory plan is counted, not guessed. Test: tests/engine/options_test.cc
#pragma once

#include "core/backend.h"

namespace qw {

class DryBackend : public Backend {
 public:
  explicit DryBackend(DType real) : real_(real) {}

  std::string_view name() const override { return "dry"; }
  DType real() const override { return real_; }
  Result<StoragePtr> alloc(size_t bytes) override;
  Result<StoragePtr> import_host(std::span<const std::byte> bytes,
                                 std::shared_ptr<const void> holder) override;

  void upload(const Tensor&, const void*) override {}
  void download(void*, const Tensor&) override {}
  void copy(const Tensor&, const Tensor&) override {}
  void fill(const Tensor&, double) override {}
  void add(const Tensor&, const Tensor&, const Tensor&) override {}
  void scale(const Tensor&, const Tensor&, double) override {}
  void axpy(const Tensor&, double, const Tensor&) override {}
  void silu_mul(const Tensor&, const Tensor&, const Tensor&) override {}
  void silu_mul_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&) override {
  }
  void sigmoid(const Tensor&, const Tensor&) override {}
  void sigmoid_backward(const Tensor&, const Tensor&, const Tensor&) override {}
  void sigmoid_mul(const Tensor&, const Tensor&, const Tensor&) override {}
  void sigmoid_mul_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                            const Tensor&) override {}
  void rms_norm(const Tensor&, const Tensor&, const Tensor&, double) override {}
  void rms_norm_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, double,
                         const Tensor&) override {}
  void embedding(const Tensor&, const Tensor&, const Weight&) override {}
  void embedding_backward(const Tensor&, const Tensor&, const Tensor&) override {}
  void gather_rows(const Tensor&, const Tensor&, const Tensor&) override {}
  void scatter_add_rows(const Tensor&, const Tensor&, const Tensor&) override {}
  void rope_table(const Tensor&, const Tensor&, const Tensor&, double) override {}
  void rope(const Tensor&, const Tensor&, const Tensor&, bool) override {}
  void linear(const Tensor&, const Tensor&, const Weight&, const Tensor&) override {}
  void linear_dx(const Tensor&, const Tensor&, const Weight&) override {}
  void linear_dw(const Tensor&, const Tensor&, const Tensor&) override {}
  void sum_rows(const Tensor&, const Tensor&) override {}
  void route(const Tensor&, const Tensor&, const Tensor&, bool) override {}
  void route_backward(const Tensor&, const Tensor&, const Tensor&, bool, const Tensor&) override {}
  void expert_linear(const Tensor&, const Tensor&, std::span<const Weight>,
                     std::span<const int32_t>) override {}
  void combine_rows(const Tensor&, const Tensor&, const Tensor&, const Tensor&) override {}
  void combine_rows_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                             const Tensor&) override {}
  void gate_rows(const Tensor&, const Tensor&, const Tensor&) override {}
  void gate_rows_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                          const Tensor&) override {}
  void kv_store(const PagedKv&, const Tensor&, const Tensor&, const Tensor&) override {}
  void attention_paged(const Tensor&, const AttnArgs&, const PagedKv&) override {}
  void attention_dense(const Tensor&, const Tensor&, const AttnArgs&, const Tensor&, const Tensor&) override {
  }
  void attention_dense_backward(const AttnGrads&, const AttnArgs&, const Tensor&, const Tensor&,
                                const Tensor&, const Tensor&, const Tensor&) override {}
  void causal_conv(const Tensor&, const Tensor&, const Tensor&, const RecurrentRows&) override {}
  void causal_conv_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const AttnPlan&,
                            const Tensor&) override {}
  void delta_decay(const Tensor&, const Tensor&, const Tensor&, const Tensor&) override {}
  void delta_decay_backward(const DecayGrads&, const Tensor&, const Tensor&, const Tensor&,
                            const Tensor&) override {}
  void gated_delta(const Tensor&, const DeltaArgs&, const RecurrentRows&) override {}
  void gated_delta_backward(const DeltaGrads&, const DeltaArgs&, const AttnPlan&, const Tensor&) override {}
  void cross_entropy(const Tensor&, const Tensor&, const Tensor&) override {}
  void cross_entropy_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&) override {}
  void divergence(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                  const DivergenceArgs&) override {}
  void dropout(const Tensor&, const Tensor&, double, uint64_t) override {}
  void sum(const Tensor&, const Tensor&) override {}
  void sum_squares(const Tensor&, const Tensor&) override {}
  void adamw(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const AdamWArgs&) override {}

 private:
  DType real_;
};

}  // namespace qw
