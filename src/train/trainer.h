// Trainer: one step after the other, and everything a run needs to go on as if nothing had happened: weights,
// optimiser, moving average, place in the data. No clock, no files of its own: train/run.h has those.
// Test: tests/train/trainer_test.cc, tests/golden/training_test.cc
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "train/objective.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace qw::train {

struct StepResult {
  int64_t step = 0;  // 1 for the first
  double loss = 0, lr = 0, grad_norm = 0;
  int64_t tokens = 0;  // of this step
  Metrics metrics;
};

struct EvalResult {
  double loss = 0;
  Metrics metrics;
};

// Bytes that training takes, counted before it begins.
struct TrainMemory {
  size_t weights = 0, gradients = 0, optimizer = 0, activations = 0, data = 0;
  size_t total() const { return weights + gradients + optimizer + activations + data; }
};

struct TrainerParts {
  Backend& backend;
  std::vector<Weight*> weights;  // what learns, in one order
  std::unique_ptr<Objective> objective;
  const Dataset& data;
  std::unique_ptr<Objective> eval_objective = nullptr;  // none: no evaluation
  const Dataset* eval_data = nullptr;
  // Of the weights that do not learn, "" where all do: a resumed run must have the same below its adapter.
  std::string frozen_digest = {};
  // Of the teacher or the reference, "" where there is none of its own.
  std::string other_digest = {};
};

class Trainer {
 public:
  // Errors: memory.exhausted.
  static Result<std::unique_ptr<Trainer>> create(TrainerParts parts, const TrainConfig& config);

  int64_t steps() const { return schedule_.steps; }  // of the whole run
  int64_t done() const { return optimizer_.steps(); }
  // Errors: train.non_finite (args step, what): nothing was changed; those of the objective.
  Result<StepResult> step();
  // The whole of eval_data, with the moving average's weights where there is one.
  Result<EvalResult> evaluate();

  // Every tensor that a checkpoint holds, by name, and the rest of the state. restore() fills the tensors by
  // load(name, tensor). Errors: those of load; train.checkpoint_state (key).
  std::vector<std::pair<std::string, Tensor>> tensors() const;
  Json state() const;
  Status restore(const Json& state, const std::function<Status(const std::string&, const Tensor&)>& load);

  // While it lives, the weights are those of the moving average, where there is one.
  class Averaged {
   public:
    explicit Averaged(Trainer& trainer) : trainer_(trainer) { trainer_.swap_average(); }
    ~Averaged() { trainer_.swap_average(); }
    Averaged(const Averaged&) = delete;
    Averaged& operator=(const Averaged&) = delete;

   private:
    Trainer& trainer_;
  };

  // Counted on a backend that only counts, with the largest micro-batches of training and evaluation. `all`
  // are the weights in memory.
  static TrainMemory plan(const TrainerParts& parts, const std::vector<Weight*>& all,
                          const TrainConfig& config);

 private:
  Trainer(TrainerParts parts, const TrainConfig& config, Optimizer optimizer);
  void swap_average();
  Ctx context(Tape* tape, uint64_t micro);

  TrainConfig config_;
  TrainerParts parts_;
  Schedule schedule_;
  SampleOrder order_;
  Gradients gradients_;
  Arena arena_;
  Optimizer optimizer_;
  std::vector<Tensor> average_;  // parallel to parts_.weights; empty: none
};

}  // namespace qw::train
