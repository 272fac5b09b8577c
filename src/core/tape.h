// Tape: reverse-mode differentiation. An op that runs with cx.tape records its inputs, its output and how to
// push the gradient back. Activations it needs live in the arena, which is reset only after backward(). Test:
// tests/ops (gradient checks in f64), tests/golden (gradients of whole models against PyTorch).
#pragma once

#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/ctx.h"
#include "core/weight.h"

namespace qw {

// Gradients of weights: real(), shape of the weight, owned here so that models stay const. Summed over
// backward() calls until zero(). Keyed by weight name.
class Gradients {
 public:
  explicit Gradients(Backend& backend) : backend_(backend) {}

  // The gradient of `w`, made (zero) at first use. Undefined for a weight that is not trainable.
  Tensor of(const Weight& w);
  void zero();
  // Every gradient made so far by weight name.
  const std::unordered_map<std::string, Tensor>& all() const { return by_name_; }

 private:
  Backend& backend_;
  std::unordered_map<std::string, Tensor> by_name_;
};

class Tape {
 public:
  explicit Tape(Gradients& gradients) : gradients_(gradients) {}

  using Backward = std::function<void(Ctx&, const Tensor& dout)>;

  // Names `out` on the tape. `backward` is called once, in reverse order, with the summed gradient of `out`,
  // if there is one; it calls accumulate() for each input and adds weight gradients itself.
  void record(Tensor& out, Backward backward);
  // True where `t` is on the tape; a strided view of a recorded tensor is a program error.
  static bool wants(const Tensor& t);
  // Adds `gradient` to that of `input`; nothing happens where the input is a constant. The tape may keep the
  // tensor itself: the caller must not write it afterwards.
  void accumulate(Ctx& cx, const Tensor& input, const Tensor& gradient);
  // The gradient of a recorded tensor, after backward(); undefined where none arrived.
  Tensor grad(const Tensor& t) const;
  // A leaf whose gradient is wanted (gradient checks).
  void watch(Tensor& t);
  Gradients& weights() { return gradients_; }

  // Runs everything backwards from `loss`, a tensor of one element, with dloss = 1.
  void backward(Ctx& cx, const Tensor& loss);
  // The same from any recorded tensor, whose gradient is `seed`, of its shape.
  void backward(Ctx& cx, const Tensor& root, const Tensor& seed);

  // An op without a backward calls this when it is recorded: a program error, never a silent detach.
  [[noreturn]] static void refuse(std::string_view op);

 private:
  struct Node {
    Shape shape;  // of the recorded tensor; a gradient of a view of it is reshaped
    Backward backward;
    Tensor grad;
    bool shared = false;  // grad is the caller's tensor: copied before a second gradient is added
  };
  Gradients& gradients_;
  std::vector<Node> nodes_;
};

}  // namespace qw
