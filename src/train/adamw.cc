#include "train/adamw.h"

#include <algorithm>
#include <cmath>

namespace qw::train {
namespace {

Tensor gradient_of(const Gradients& gradients, const Weight& w) {
  const auto it = gradients.all().find(w.name);
  return it == gradients.all().end() ? Tensor() : it->second;
}

double read_scalar(Backend& backend, const Tensor& t) {
  if (t.dtype() == DType::f64) {
    double value = 0;
    backend.download(&value, t);
    return value;
  }
  float value = 0;
  backend.download(&value, t);
  return value;
}

}  // namespace

Result<AdamW::Moments*> AdamW::moments(const Weight& w) {
  const auto it = state_.find(w.name);
  if (it != state_.end()) return &it->second;
  const auto bytes = static_cast<size_t>(w.shape.elements() * traits(backend_.real()).bytes);
  QW_TRY(StoragePtr m, backend_.alloc(bytes));
  QW_TRY(StoragePtr v, backend_.alloc(bytes));
  Moments fresh{Tensor(std::move(m), 0, w.shape, backend_.real()),
                Tensor(std::move(v), 0, w.shape, backend_.real())};
  backend_.fill(fresh.m, 0.0);
  backend_.fill(fresh.v, 0.0);
  return &state_.emplace(w.name, std::move(fresh)).first->second;
}

Result<double> AdamW::step(const std::vector<Weight*>& weights, const Gradients& gradients, Arena& arena) {
  double squares = 0;
  const Tensor scalar = arena.alloc({1}, backend_.real());
  for (const Weight* w : weights) {
    const Tensor grad = gradient_of(gradients, *w);
    if (!grad.defined()) continue;
    backend_.sum_squares(scalar, grad);
    squares += read_scalar(backend_, scalar);
  }
  const double norm = std::sqrt(squares);
  // PyTorch's clip: the small constant keeps a zero gradient finite.
  const double clip =
      options_.max_grad_norm > 0 ? std::min(1.0, options_.max_grad_norm / (norm + 1e-6)) : 1.0;
  ++step_;
  for (Weight* w : weights) {
    const Tensor grad = gradient_of(gradients, *w);
    if (!grad.defined()) continue;
    QW_TRY(Moments * state, moments(*w));
    const double decay = w->shape.rank() >= 2 ? options_.weight_decay : 0.0;
    backend_.adamw(w->data, grad, state->m, state->v,
                   {options_.lr, options_.beta1, options_.beta2, options_.eps, decay, step_, clip});
  }
  return norm;
}

}  // namespace qw::train
