// Optimisers. AdamW with decoupled weight decay (Loshchilov & Hutter 2019) in the order of torch.optim.AdamW;
// Muon (Jordan 2024) in that of torch.optim.Muon with adjust_lr_fn = "match_rms_adamw", for the matrices
// between embedding and head, AdamW for the rest. Clipping by global norm as torch.nn.utils.clip_grad_norm_.
// State is keyed by weight name. Test: tests/golden/learning_test.cc, tests/train/trainer_test.cc
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/tape.h"

namespace qw::train {

struct OptimizerOptions {
  bool muon = false;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.0;   // of tensors of two or more dimensions
  double max_grad_norm = 0.0;  // 0: no clipping
};

class Optimizer {
 public:
  // Makes the (zero) state of every weight. Errors: memory.exhausted.
  static Result<Optimizer> create(Backend& backend, const OptimizerOptions& options,
                                  std::vector<Weight*> weights);

  // One update of every weight that has a gradient. Returns the norm of all gradients together, before
  // clipping; where it is not finite nothing is changed.
  double step(const Gradients& gradients, Arena& arena, double lr);

  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  // Every tensor of the state by name ("m.model.norm.weight"), in one order: to save and to load.
  std::vector<std::pair<std::string, Tensor>> state() const;
  // Bytes of state for weights of these sizes.
  static size_t state_bytes(const OptimizerOptions& options, const std::vector<Weight*>& weights, DType real);

 private:
  Optimizer(Backend& backend, const OptimizerOptions& options) : backend_(&backend), options_(options) {}
  static bool is_muon(const OptimizerOptions& options, const Weight& w);
  void adamw(const Weight& w, const Tensor& grad, double lr, double clip);
  void muon(const Weight& w, const Tensor& grad, Arena& arena, double lr, double clip);

  struct State {
    Tensor m, v;  // Muon has no v
  };
  Backend* backend_;
  OptimizerOptions options_;
  int64_t steps_ = 0;
  std::vector<Weight*> weights_;
  std::map<std::string, State> state_;
};

}  // namespace qw::train
