// FakeDevice: a backend whose memory is unreadable outside its kernels, as a GPU's would be. Host code that
// dereferences tensor data dies on the spot. Wraps another backend that computes (docs/design.md §3). Test:
// tests/backend/fake_device_test.cc
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "core/backend.h"

namespace qw::test {

class FakeDevice final : public Backend {
 public:
  explicit FakeDevice(std::unique_ptr<Backend> inner)
      : inner_(std::move(inner)), name_("fake/" + std::string(inner_->name())) {}

  std::string_view name() const override { return name_; }
  DType real() const override { return inner_->real(); }

  Result<StoragePtr> alloc(size_t bytes) override;
  Result<StoragePtr> import_host(std::span<const std::byte> bytes,
                                 std::shared_ptr<const void> holder) override;
  void upload(const Tensor& dst, const void* src) override { run(&Backend::upload, dst, src); }
  void download(void* dst, const Tensor& src) override { run(&Backend::download, dst, src); }
  void copy(const Tensor& dst, const Tensor& src) override { run(&Backend::copy, dst, src); }
  void fill(const Tensor& dst, double value) override { run(&Backend::fill, dst, value); }
  void add(const Tensor& out, const Tensor& a, const Tensor& b) override { run(&Backend::add, out, a, b); }
  void scale(const Tensor& out, const Tensor& a, double s) override { run(&Backend::scale, out, a, s); }
  void axpy(const Tensor& y, double a, const Tensor& x) override { run(&Backend::axpy, y, a, x); }
  void silu_mul(const Tensor& out, const Tensor& gate, const Tensor& up) override {
    run(&Backend::silu_mul, out, gate, up);
  }
  void silu_mul_backward(const Tensor& dgate, const Tensor& dup, const Tensor& gate, const Tensor& up,
                         const Tensor& dout) override {
    run(&Backend::silu_mul_backward, dgate, dup, gate, up, dout);
  }
  void sigmoid(const Tensor& out, const Tensor& x) override { run(&Backend::sigmoid, out, x); }
  void sigmoid_backward(const Tensor& dx, const Tensor& out, const Tensor& dout) override {
    run(&Backend::sigmoid_backward, dx, out, dout);
  }
  void sigmoid_mul(const Tensor& out, const Tensor& gate, const Tensor& x) override {
    run(&Backend::sigmoid_mul, out, gate, x);
  }
  void sigmoid_mul_backward(const Tensor& dgate, const Tensor& dx, const Tensor& gate, const Tensor& x,
                            const Tensor& dout) override {
    run(&Backend::sigmoid_mul_backward, dgate, dx, gate, x, dout);
  }
  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, double eps) override {
    run(&Backend::rms_norm, out, x, w, eps);
  }
  void rms_norm_backward(const Tensor& dx, const Tensor& dw, const Tensor& x, const Tensor& w, double eps,
                         const Tensor& dout) override {
    run(&Backend::rms_norm_backward, dx, dw, x, w, eps, dout);
  }
  void embedding(const Tensor& out, const Tensor& ids, const Weight& w) override {
    run(&Backend::embedding, out, ids, w);
  }
  void embedding_backward(const Tensor& dw, const Tensor& ids, const Tensor& dout) override {
    run(&Backend::embedding_backward, dw, ids, dout);
  }
  void gather_rows(const Tensor& out, const Tensor& x, const Tensor& rows) override {
    run(&Backend::gather_rows, out, x, rows);
  }
  void scatter_add_rows(const Tensor& dx, const Tensor& rows, const Tensor& dout) override {
    run(&Backend::scatter_add_rows, dx, rows, dout);
  }
  void rope_table(const Tensor& table, const Tensor& positions, const Tensor& inv_freq,
                  double scale) override {
    run(&Backend::rope_table, table, positions, inv_freq, scale);
  }
  void rope(const Tensor& out, const Tensor& x, const Tensor& table, bool inverse) override {
    run(&Backend::rope, out, x, table, inverse);
  }
  void linear(const Tensor& out, const Tensor& x, const Weight& w, const Tensor& bias) override {
    run(&Backend::linear, out, x, w, bias);
  }
  void linear_dx(const Tensor& dx, const Tensor& dout, const Weight& w) override {
    run(&Backend::linear_dx, dx, dout, w);
  }
  void linear_dw(const Tensor& dw, const Tensor& dout, const Tensor& x) override {
    run(&Backend::linear_dw, dw, dout, x);
  }
  void sum_rows(const Tensor& db, const Tensor& dout) override { run(&Backend::sum_rows, db, dout); }
  void route(const Tensor& weights, const Tensor& experts, const Tensor& logits, bool normalise) override {
    run(&Backend::route, weights, experts, logits, normalise);
  }
  void route_backward(const Tensor& dlogits, const Tensor& logits, const Tensor& experts, bool normalise,
                      const Tensor& dweights) override {
    run(&Backend::route_backward, dlogits, logits, experts, normalise, dweights);
  }
  void expert_linear(const Tensor& out, const Tensor& x, std::span<const Weight> w,
                     std::span<const int32_t> offsets) override {
    run(&Backend::expert_linear, out, x, w, offsets);
  }
  void combine_rows(const Tensor& out, const Tensor& y, const Tensor& places,
                    const Tensor& weights) override {
    run(&Backend::combine_rows, out, y, places, weights);
  }
  void combine_rows_backward(const Tensor& dy, const Tensor& dweights, const Tensor& y, const Tensor& places,
                             const Tensor& weights, const Tensor& dout) override {
    run(&Backend::combine_rows_backward, dy, dweights, y, places, weights, dout);
  }
  void gate_rows(const Tensor& out, const Tensor& x, const Tensor& gate) override {
    run(&Backend::gate_rows, out, x, gate);
  }
  void gate_rows_backward(const Tensor& dx, const Tensor& dgate, const Tensor& x, const Tensor& gate,
                          const Tensor& dout) override {
    run(&Backend::gate_rows_backward, dx, dgate, x, gate, dout);
  }
  void kv_store(const PagedKv& kv, const Tensor& k, const Tensor& v, const Tensor& slots) override {
    run(&Backend::kv_store, kv, k, v, slots);
  }
  void attention_paged(const Tensor& out, const AttnArgs& args, const PagedKv& kv) override {
    run(&Backend::attention_paged, out, args, kv);
  }
  void attention_dense(const Tensor& out, const Tensor& lse, const AttnArgs& args, const Tensor& k,
                       const Tensor& v) override {
    run(&Backend::attention_dense, out, lse, args, k, v);
  }
  void attention_dense_backward(const AttnGrads& grads, const AttnArgs& args, const Tensor& k,
                                const Tensor& v, const Tensor& out, const Tensor& lse,
                                const Tensor& dout) override {
    run(&Backend::attention_dense_backward, grads, args, k, v, out, lse, dout);
  }
  void causal_conv(const Tensor& out, const Tensor& x, const Tensor& w, const RecurrentRows& rows) override {
    run(&Backend::causal_conv, out, x, w, rows);
  }
  void causal_conv_backward(const Tensor& dx, const Tensor& dw, const Tensor& x, const Tensor& w,
                            const AttnPlan& plan, const Tensor& dout) override {
    run(&Backend::causal_conv_backward, dx, dw, x, w, plan, dout);
  }
  void delta_decay(const Tensor& g, const Tensor& a, const Tensor& a_log, const Tensor& dt_bias) override {
    run(&Backend::delta_decay, g, a, a_log, dt_bias);
  }
  void delta_decay_backward(const DecayGrads& grads, const Tensor& a, const Tensor& a_log,
                            const Tensor& dt_bias, const Tensor& dg) override {
    run(&Backend::delta_decay_backward, grads, a, a_log, dt_bias, dg);
  }
  void gated_delta(const Tensor& out, const DeltaArgs& args, const RecurrentRows& rows) override {
    run(&Backend::gated_delta, out, args, rows);
  }
  void gated_delta_backward(const DeltaGrads& grads, const DeltaArgs& args, const AttnPlan& plan,
                            const Tensor& dout) override {
    run(&Backend::gated_delta_backward, grads, args, plan, dout);
  }
  void cross_entropy(const Tensor& loss, const Tensor& logits, const Tensor& targets) override {
    run(&Backend::cross_entropy, loss, logits, targets);
  }
  void cross_entropy_backward(const Tensor& dlogits, const Tensor& logits, const Tensor& targets,
                              const Tensor& dloss) override {
    run(&Backend::cross_entropy_backward, dlogits, logits, targets, dloss);
  }
  void divergence(const Tensor& loss, const Tensor& dlogits, const Tensor& logits, const Tensor& teacher,
                  const Tensor& weight, const DivergenceArgs& args) override {
    run(&Backend::divergence, loss, dlogits, logits, teacher, weight, args);
  }
  void dropout(const Tensor& out, const Tensor& x, double p, uint64_t key) override {
    run(&Backend::dropout, out, x, p, key);
  }
  void sum(const Tensor& out, const Tensor& x) override { run(&Backend::sum, out, x); }
  void sum_squares(const Tensor& out, const Tensor& x) override { run(&Backend::sum_squares, out, x); }
  void adamw(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
             const AdamWArgs& args) override {
    run(&Backend::adamw, param, grad, m, v, args);
  }

 private:
  // Every block of the device; shared with the storages, which may outlive the backend.
  struct Blocks {
    std::mutex mutex;
    std::set<std::pair<void*, size_t>> all;
    void protect(int mode);
  };
  // Readable while a kernel runs.
  class Open {
   public:
    explicit Open(Blocks& blocks);
    ~Open();
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

   private:
    Blocks& blocks_;
  };

  template <class Method, class... Args>
  void run(Method method, Args&&... args) {
    const Open open(*blocks_);
    (inner_.get()->*method)(std::forward<Args>(args)...);
  }

  std::unique_ptr<Backend> inner_;
  std::string name_;
  std::shared_ptr<Blocks> blocks_ = std::make_shared<Blocks>();
};

}  // namespace qw::test
