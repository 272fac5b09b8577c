#include "train/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace qw::train {
namespace {

constexpr double kMuonMomentum = 0.95;
constexpr int kNewtonSchulzSteps = 5;
constexpr std::array<double, 3> kNewtonSchulz = {3.4445, -4.7750, 2.0315};

double read_scalar(Backend& backend, const Tensor& t) {
  if (t.dtype() == DType::f64) {
    double value = 0;
    backend.download(&value, t);
    return value;
  }
  float value = 0;
  backend.download(&value, t);
  return static_cast<double>(value);
}

double norm_of(Backend& backend, Arena& arena, const Tensor& x) {
  const Tensor scalar = arena.alloc({1}, backend.real());
  backend.sum_squares(scalar, x);
  return std::sqrt(read_scalar(backend, scalar));
}

Result<Tensor> zeros(Backend& backend, const Shape& shape) {
  QW_TRY(StoragePtr storage,
         backend.alloc(static_cast<size_t>(shape.elements() * traits(backend.real()).bytes)));
  Tensor out(std::move(storage), 0, shape, backend.real());
  backend.fill(out, 0.0);
  return out;
}

Weight as_weight(Backend& backend, const Tensor& t) {
  Weight w;
  w.shape = t.shape();
  w.format = backend.real() == DType::f64 ? QuantFormat::f64 : QuantFormat::f32;
  w.data = t;
  return w;
}

// Newton-Schulz iteration towards U Vᵀ of x = U S Vᵀ, divided by its norm first. The Gram matrix is of the
// shorter side: x [n, k] with n > k is multiplied from the right, its transpose is never made.
Tensor orthogonalised(Backend& backend, Arena& arena, Tensor x) {
  const Shape shape = x.shape();
  const bool tall = shape[0] > shape[1];
  const Shape square{std::min(shape[0], shape[1]), std::min(shape[0], shape[1])};
  backend.scale(x, x, 1.0 / std::max(norm_of(backend, arena, x), 1e-7));
  const auto [a, b, c] = kNewtonSchulz;
  const Tensor gram = arena.alloc(square, backend.real()), gram2 = arena.alloc(square, backend.real());
  Tensor next = arena.alloc(shape, backend.real());
  for (int i = 0; i < kNewtonSchulzSteps; ++i) {
    if (tall) {
      backend.fill(gram, 0.0);
      backend.linear_dw(gram, x, x);  // A = Xᵀ X
    } else {
      backend.linear(gram, x, as_weight(backend, x), {});  // A = X Xᵀ
    }
    backend.linear(gram2, gram, as_weight(backend, gram), {});  // A A, as A is symmetric
    backend.scale(gram2, gram2, c);
    backend.axpy(gram2, b, gram);
    if (tall)
      backend.linear(next, x, as_weight(backend, gram2), {});  // X (b A + c A A), symmetric too
    else
      backend.linear_dx(next, gram2, as_weight(backend, x));  // (b A + c A A) X
    backend.axpy(next, a, x);
    std::swap(x, next);
  }
  return x;
}

}  // namespace

bool Optimizer::is_muon(const OptimizerOptions& options, const Weight& w) {
  return options.muon && w.shape.rank() == 2 && !w.vocabulary;
}

Result<Optimizer> Optimizer::create(Backend& backend, const OptimizerOptions& options,
                                    std::vector<Weight*> weights) {
  Optimizer out(backend, options);
  for (const Weight* w : weights) {
    State state;
    QW_TRY(state.m, zeros(backend, w->shape));
    if (!is_muon(options, *w)) {
      QW_TRY(state.v, zeros(backend, w->shape));
    }
    out.state_.emplace(w->name, std::move(state));
  }
  out.weights_ = std::move(weights);
  return out;
}

size_t Optimizer::state_bytes(const OptimizerOptions& options, const std::vector<Weight*>& weights,
                              DType real) {
  size_t bytes = 0;
  for (const Weight* w : weights)
    bytes += static_cast<size_t>(w->shape.elements() * traits(real).bytes) * (is_muon(options, *w) ? 1 : 2);
  return bytes;
}

std::vector<std::pair<std::string, Tensor>> Optimizer::state() const {
  std::vector<std::pair<std::string, Tensor>> out;
  for (const auto& [name, s] : state_) {
    out.emplace_back("m." + name, s.m);
    if (s.v.defined()) out.emplace_back("v." + name, s.v);
  }
  return out;
}

double Optimizer::step(const Gradients& gradients, Arena& arena, double lr) {
  const auto gradient_of = [&](const Weight& w) {
    const auto it = gradients.all().find(w.name);
    return it == gradients.all().end() ? Tensor() : it->second;
  };
  double squares = 0;
  const Tensor scalar = arena.alloc({1}, backend_->real());
  for (const Weight* w : weights_) {
    const Tensor grad = gradient_of(*w);
    if (!grad.defined()) continue;
    backend_->sum_squares(scalar, grad);
    squares += read_scalar(*backend_, scalar);
  }
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm)) return norm;
  // PyTorch's clip: the small constant keeps a zero gradient finite.
  const double clip =
      options_.max_grad_norm > 0 ? std::min(1.0, options_.max_grad_norm / (norm + 1e-6)) : 1.0;
  ++steps_;
  for (const Weight* w : weights_) {
    const Tensor grad = gradient_of(*w);
    if (!grad.defined()) continue;
    if (is_muon(options_, *w))
      muon(*w, grad, arena, lr, clip);
    else
      adamw(*w, grad, lr, clip);
  }
  return norm;
}

void Optimizer::adamw(const Weight& w, const Tensor& grad, double lr, double clip) {
  const State& state = state_.at(w.name);
  const double decay = w.shape.rank() >= 2 ? options_.weight_decay : 0.0;
  backend_->adamw(w.data, grad, state.m, state.v,
                  {lr, options_.beta1, options_.beta2, options_.eps, decay, steps_, clip});
}

void Optimizer::muon(const Weight& w, const Tensor& grad, Arena& arena, double lr, double clip) {
  const Arena::Mark mark = arena.mark();
  const Tensor momentum = state_.at(w.name).m;
  backend_->scale(momentum, momentum, kMuonMomentum);
  backend_->axpy(momentum, (1 - kMuonMomentum) * clip, grad);
  const Tensor update = arena.alloc(w.shape, backend_->real());  // Nesterov
  backend_->scale(update, grad, (1 - kMuonMomentum) * clip);
  backend_->axpy(update, kMuonMomentum, momentum);

  const Tensor x = orthogonalised(*backend_, arena, update);
  // 0.2 √max(n, k): the root mean square of an AdamW update, so that one learning rate serves both.
  const double size = 0.2 * std::sqrt(static_cast<double>(std::max(w.rows(), w.cols())));
  backend_->scale(w.data, w.data, 1.0 - lr * options_.weight_decay);
  backend_->axpy(w.data, -lr * size, x);
  arena.rewind(mark);
}

}  // namespace qw::train
