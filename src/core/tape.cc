#include "core/tape.h"

namespace qw {

Tensor Gradients::of(const Weight& w) {
  if (!w.trainable) return {};
  const auto it = by_name_.find(w.name);
  if (it != by_name_.end()) return it->second;
  const auto bytes =
      static_cast<size_t>(w.shape.elements()) * static_cast<size_t>(traits(backend_.real()).bytes);
  auto storage = backend_.alloc(bytes);
  QW_CHECK(storage.has_value(), "out of memory for the gradient of {}", w.name);
  const Tensor grad(*std::move(storage), 0, w.shape, backend_.real());
  backend_.fill(grad, 0.0);
  return by_name_.emplace(w.name, grad).first->second;
}

void Gradients::zero() {
  for (const auto& [name, grad] : by_name_) backend_.fill(grad, 0.0);
}

void Tape::record(Tensor& out, Backward backward) {
  out.set_tape_id(static_cast<int>(nodes_.size()));
  nodes_.push_back({out.shape(), std::move(backward), {}, false});
}

void Tape::watch(Tensor& t) {
  record(t, [](Ctx&, const Tensor&) {});
}

bool Tape::wants(const Tensor& t) {
  QW_CHECK(t.tape_id() != kDetached, "a slice or transpose {} of a recorded tensor is used as an operand",
           t.shape().str());
  return t.tape_id() >= 0;
}

void Tape::accumulate(Ctx& cx, const Tensor& input, const Tensor& gradient) {
  if (!wants(input)) return;
  Node& node = nodes_[static_cast<size_t>(input.tape_id())];
  QW_CHECK(input.shape() == gradient.shape(), "gradient {} of a tensor {}", gradient.shape().str(),
           input.shape().str());
  const Tensor grad = gradient.view(node.shape);  // `input` may be a view of what was recorded
  if (!node.grad.defined()) {
    node.grad = grad;
    node.shared = true;
    return;
  }
  if (node.shared) {
    const Tensor sum = cx.alloc(node.shape);
    cx.backend.add(sum, node.grad, grad);
    node.grad = sum;
    node.shared = false;
  } else {
    cx.backend.axpy(node.grad, 1.0, grad);
  }
}

Tensor Tape::grad(const Tensor& t) const {
  QW_CHECK(t.tape_id() >= 0, "the tensor is not on the tape");
  return nodes_[static_cast<size_t>(t.tape_id())].grad;
}

void Tape::backward(Ctx& cx, const Tensor& loss) {
  QW_CHECK(loss.elements() == 1, "backward from a tensor {} without a seed", loss.shape().str());
  const Tensor one = cx.alloc(loss.shape());
  cx.backend.fill(one, 1.0);
  backward(cx, loss, one);
}

void Tape::backward(Ctx& cx, const Tensor& root, const Tensor& seed) {
  QW_CHECK(wants(root), "backward from a tensor that is not on the tape");
  Tape* const recording = cx.tape;
  cx.tape = nullptr;  // backward functions run kernels; they do not record
  accumulate(cx, root, seed);
  for (int i = root.tape_id(); i >= 0; --i) {
    Node& node = nodes_[static_cast<size_t>(i)];
    if (node.grad.defined() && node.backward) node.backward(cx, node.grad);
    node.backward = nullptr;  // frees what it kept
  }
  cx.tape = recording;
}

void Tape::refuse(std::string_view op) {
  QW_CHECK(false, "{} has no backward and was run with a tape", op);
  std::abort();
}

}  // namespace qw
