// AdamW with decoupled weight decay (Loshchilov & Hutter 2019), in the order of torch.optim.AdamW, with
// clipping by global norm as torch.nn.utils.clip_grad_norm_. State is keyed by weight name. Test:
// tests/golden/learning_test.cc
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/tape.h"

namespace qw::train {

struct AdamWOptions {
  double lr = 1e-4;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.0;   // of tensors of two or more dimensions
  double max_grad_norm = 0.0;  // 0: no clipping
};

class AdamW {
 public:
  AdamW(Backend& backend, const AdamWOptions& options) : backend_(backend), options_(options) {}

  // One update of every weight from its gradient (a weight without one is left alone). Returns the norm of
  // all gradients together, before clipping. Errors: memory.exhausted, at the first step only.
  Result<double> step(const std::vector<Weight*>& weights, const Gradients& gradients, Arena& arena);
  void set_lr(double lr) { options_.lr = lr; }

 private:
  struct Moments {
    Tensor m, v;
  };
  Result<Moments*> moments(const Weight& w);

  Backend& backend_;
  AdamWOptions options_;
  int64_t step_ = 0;
  std::unordered_map<std::string, Moments> state_;
};

}  // namespace qw::train
