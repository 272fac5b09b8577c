// TimedBackend: passes every call to another backend and adds up the processor time of all threads under the
// name of the call: other programs disturb it less than the clock on the wall.
#pragma once

#include <ctime>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/backend.h"

namespace qw {

inline double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

class TimedBackend final : public Backend {
 public:
  explicit TimedBackend(Backend& inner) : inner_(inner) {}
  // Seconds and calls by kernel since clear().
  struct Cost {
    double seconds = 0;
    int calls = 0;
  };
  const std::map<std::string, Cost, std::less<>>& costs() const { return costs_; }
  void clear() { costs_.clear(); }

  std::string_view name() const override { return inner_.name(); }
  DType real() const override { return inner_.real(); }
  Result<StoragePtr> alloc(size_t bytes) override { return inner_.alloc(bytes); }
  Result<StoragePtr> import_host(std::span<const std::byte> bytes,
                                 std::shared_ptr<const void> holder) override {
    return inner_.import_host(bytes, std::move(holder));
  }
  void upload(const Tensor& dst, const void* src) override { run("upload", &Backend::upload, dst, src); }
  void download(void* dst, const Tensor& src) override { run("download", &Backend::download, dst, src); }
  void copy(const Tensor& dst, const Tensor& src) override { run("copy", &Backend::copy, dst, src); }
  void fill(const Tensor& dst, double value) override { run("fill", &Backend::fill, dst, value); }
  void add(const Tensor& out, const Tensor& a, const Tensor& b) override {
    run("add", &Backend::add, out, a, b);
  }
  void scale(const Tensor& out, const Tensor& a, double s) override {
    run("scale", &Backend::scale, out, a, s);
  }
  void axpy(const Tensor& y, double a, const Tensor& x) override { run("axpy", &Backend::axpy, y, a, x); }
  void silu_mul(const Tensor& out, const Tensor& gate, const Tensor& up) override {
    run("silu_mul", &Backend::silu_mul, out, gate, up);
  }
  void silu_mul_backward(const Tensor& dgate, const Tensor& dup, const Tensor& gate, const Tensor& up,
                         const Tensor& dout) override {
    run("silu_mul_backward", &Backend::silu_mul_backward, dgate, dup, gate, up, dout);
  }
  void sigmoid(const Tensor& out, const Tensor& x) override { run("sigmoid", &Backend::sigmoid, out, x); }
  void sigmoid_backward(const Tensor& dx, const Tensor& out, const Tensor& dout) override {
    run("sigmoid_backward", &Backend::sigmoid_backward, dx, out, dout);
  }
  void sigmoid_mul(const Tensor& out, const Tensor& gate, const Tensor& x) override {
    run("sigmoid_mul", &Backend::sigmoid_mul, out, gate, x);
  }
  void sigmoid_mul_backward(const Tensor& dgate, const Tensor& dx, const Tensor& gate, const Tensor& x,
                            const Tensor& dout) override {
    run("sigmoid_mul_backward", &Backend::sigmoid_mul_backward, dgate, dx, gate, x, dout);
  }
  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, double eps) override {
    run("rms_norm", &Backend::rms_norm, out, x, w, eps);
  }
  void rms_norm_backward(const Tensor& dx, const Tensor& dw, const Tensor& x, const Tensor& w, double eps,
                         const Tensor& dout) override {
    run("rms_norm_backward", &Backend::rms_norm_backward, dx, dw, x, w, eps, dout);
  }
  void embedding(const Tensor& out, const Tensor& ids, const Weight& w) override {
    run("embedding", &Backend::embedding, out, ids, w);
  }
  void embedding_backward(const Tensor& dw, const Tensor& ids, const Tensor& dout) override {
    run("embedding_backward", &Backend::embedding_backward, dw, ids, dout);
  }
  void gather_rows(const Tensor& out, const Tensor& x, const Tensor& rows) override {
    run("gather_rows", &Backend::gather_rows, out, x, rows);
  }
  void scatter_add_rows(const Tensor& dx, const Tensor& rows, const Tensor& dout) override {
    run("scatter_add_rows", &Backend::scatter_add_rows, dx, rows, dout);
  }
  void rope_table(const Tensor& table, const Tensor& positions, const Tensor& inv_freq,
                  double scale) override {
    run("rope_table", &Backend::rope_table, table, positions, inv_freq, scale);
  }
  void rope(const Tensor& out, const Tensor& x, const Tensor& table, bool inverse) override {
    run("rope", &Backend::rope, out, x, table, inverse);
  }
  void linear(const Tensor& out, const Tensor& x, const Weight& w, const Tensor& bias) override {
    run("linear", &Backend::linear, out, x, w, bias);
  }
  void linear_dx(const Tensor& dx, const Tensor& dout, const Weight& w) override {
    run("linear_dx", &Backend::linear_dx, dx, dout, w);
  }
  void linear_dw(const Tensor& dw, const Tensor& dout, const Tensor& x) override {
    run("linear_dw", &Backend::linear_dw, dw, dout, x);
  }
  void sum_rows(const Tensor& db, const Tensor& dout) override {
    run("sum_rows", &Backend::sum_rows, db, dout);
  }
  void route(const Tensor& weights, const Tensor& experts, const Tensor& logits, bool normalise) override {
    run("route", &Backend::route, weights, experts, logits, normalise);
  }
  void route_backward(const Tensor& dlogits, const Tensor& logits, const Tensor& experts, bool normalise,
                      const Tensor& dweights) override {
    run("route_backward", &Backend::route_backward, dlogits, logits, experts, normalise, dweights);
  }
  void expert_linear(const Tensor& out, const Tensor& x, std::span<const Weight> w,
                     std::span<const int32_t> offsets) override {
    run("expert_linear", &Backend::expert_linear, out, x, w, offsets);
  }
  void combine_rows(const Tensor& out, const Tensor& y, const Tensor& places,
                    const Tensor& weights) override {
    run("combine_rows", &Backend::combine_rows, out, y, places, weights);
  }
  void combine_rows_backward(const Tensor& dy, const Tensor& dweights, const Tensor& y, const Tensor& places,
                             const Tensor& weights, const Tensor& dout) override {
    run("combine_rows_backward", &Backend::combine_rows_backward, dy, dweights, y, places, weights, dout);
  }
  void gate_rows(const Tensor& out, const Tensor& x, const Tensor& gate) override {
    run("gate_rows", &Backend::gate_rows, out, x, gate);
  }
  void gate_rows_backward(const Tensor& dx, const Tensor& dgate, const Tensor& x, const Tensor& gate,
                          const Tensor& dout) override {
    run("gate_rows_backward", &Backend::gate_rows_backward, dx, dgate, x, gate, dout);
  }
  void kv_store(const PagedKv& kv, const Tensor& k, const Tensor& v, const Tensor& slots) override {
    run("kv_store", &Backend::kv_store, kv, k, v, slots);
  }
  void attention_paged(const Tensor& out, const AttnArgs& args, const PagedKv& kv) override {
    run("attention_paged", &Backend::attention_paged, out, args, kv);
  }
  void attention_dense(const Tensor& out, const Tensor& lse, const AttnArgs& args, const Tensor& k,
                       const Tensor& v) override {
    run("attention_dense", &Backend::attention_dense, out, lse, args, k, v);
  }
  void attention_dense_backward(const AttnGrads& grads, const AttnArgs& args, const Tensor& k,
                                const Tensor& v, const Tensor& out, const Tensor& lse,
                                const Tensor& dout) override {
    run("attention_dense_backward", &Backend::attention_dense_backward, grads, args, k, v, out, lse, dout);
  }
  void causal_conv(const Tensor& out, const Tensor& x, const Tensor& w, const RecurrentRows& rows) override {
    run("causal_conv", &Backend::causal_conv, out, x, w, rows);
  }
  void causal_conv_backward(const Tensor& dx, const Tensor& dw, const Tensor& x, const Tensor& w,
                            const AttnPlan& plan, const Tensor& dout) override {
    run("causal_conv_backward", &Backend::causal_conv_backward, dx, dw, x, w, plan, dout);
  }
  void delta_decay(const Tensor& g, const Tensor& a, const Tensor& a_log, const Tensor& dt_bias) override {
    run("delta_decay", &Backend::delta_decay, g, a, a_log, dt_bias);
  }
  void delta_decay_backward(const DecayGrads& grads, const Tensor& a, const Tensor& a_log,
                            const Tensor& dt_bias, const Tensor& dg) override {
    run("delta_decay_backward", &Backend::delta_decay_backward, grads, a, a_log, dt_bias, dg);
  }
  void gated_delta(const Tensor& out, const DeltaArgs& args, const RecurrentRows& rows) override {
    run("gated_delta", &Backend::gated_delta, out, args, rows);
  }
  void gated_delta_backward(const DeltaGrads& grads, const DeltaArgs& args, const AttnPlan& plan,
                            const Tensor& dout) override {
    run("gated_delta_backward", &Backend::gated_delta_backward, grads, args, plan, dout);
  }
  void cross_entropy(const Tensor& loss, const Tensor& logits, const Tensor& targets) override {
    run("cross_entropy", &Backend::cross_entropy, loss, logits, targets);
  }
  void cross_entropy_backward(const Tensor& dlogits, const Tensor& logits, const Tensor& targets,
                              const Tensor& dloss) override {
    run("cross_entropy_backward", &Backend::cross_entropy_backward, dlogits, logits, targets, dloss);
  }
  void divergence(const Tensor& loss, const Tensor& dlogits, const Tensor& logits, const Tensor& teacher,
                  const Tensor& weight, const DivergenceArgs& args) override {
    run("divergence", &Backend::divergence, loss, dlogits, logits, teacher, weight, args);
  }
  void dropout(const Tensor& out, const Tensor& x, double p, uint64_t key) override {
    run("dropout", &Backend::dropout, out, x, p, key);
  }
  void sum(const Tensor& out, const Tensor& x) override { run("sum", &Backend::sum, out, x); }
  void sum_squares(const Tensor& out, const Tensor& x) override {
    run("sum_squares", &Backend::sum_squares, out, x);
  }
  void adamw(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
             const AdamWArgs& args) override {
    run("adamw", &Backend::adamw, param, grad, m, v, args);
  }

 private:
  template <class Method, class... Args>
  void run(std::string_view name, Method method, Args&&... args) {
    const double begin = cpu_seconds();
    (inner_.*method)(std::forward<Args>(args)...);
    auto it = costs_.find(name);
    if (it == costs_.end()) it = costs_.emplace(name, Cost{}).first;
    it->second.seconds += cpu_seconds() - begin;
    ++it->second.calls;
  }

  Backend& inner_;
  std::map<std::string, Cost, std::less<>> costs_;
};

}  // namespace qw
