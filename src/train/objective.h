// What a step minimises. An objective knows how samples become batches and losses; which model, with or
// without adapters, is the Learner's; updates are the Trainer's. Test: tests/golden/training_test.cc (against
// PyTorch, PEFT and TRL)
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/model.h"
#include "train/batches.h"

namespace qw::train {

// The model that learns, and its adapters (null: none).
struct Learner {
  std::shared_ptr<Model> model;
  std::shared_ptr<const AdapterSet> adapters;
};

// The means of a step's further figures ("accuracy", "margin"), for the log.
using Metrics = std::map<std::string, double>;

class Objective {
 public:
  virtual ~Objective() = default;

  // Makes the micro-batches of a step (or of an evaluation) and answers how many terms its mean has: target
  // tokens, or pairs. Errors: those of generation (distillation on-policy).
  virtual Result<int64_t> prepare(const std::vector<std::vector<int64_t>>& micro_samples, int64_t step) = 0;
  // The summed loss of one of them. With a tape in `cx` the gradient of weight · sum goes all the way back.
  // The arena is reset first.
  virtual double run(Ctx& cx, size_t micro, double weight) = 0;
  // Of what ran since the last prepare().
  virtual Metrics metrics() const { return {}; }
  // Tokens that went through the model since the last prepare().
  int64_t tokens() const { return tokens_; }

 protected:
  int64_t tokens_ = 0;
};

// Mean cross-entropy of the target tokens: pretrain, sft.
std::unique_ptr<Objective> language_objective(const Learner& learner, const Dataset& data);
// Direct preference optimisation (Rafailov et al. 2023), sigmoid loss. `reference` is what the policy is held
// to: the model before training, or the learner's own model, frozen, without its adapters (as TRL does; an
// adapter that the training starts from is part of the policy, not of the reference).
std::unique_ptr<Objective> dpo_objective(const Learner& learner, std::shared_ptr<const Model> reference,
                                         const Dataset& data, const DpoOptions& options);

// Writes answers to prompts: what on-policy distillation samples with. `first` is how many prompts the step
// (or the evaluation) had before: no two of its answers have the same random numbers.
using Generate = std::function<Result<std::vector<std::vector<int32_t>>>(
    const std::vector<std::vector<int32_t>>& prompts, int64_t step, int64_t first)>;
// Divergence from the teacher's distribution at every target token. With `generate` the documents are
// prompts, and the student's own answers are what is compared.
std::unique_ptr<Objective> distill_objective(const Learner& learner, std::shared_ptr<const Model> teacher,
                                             const Dataset& data, const DistillOptions& options,
                                             Generate generate = {});

}  // namespace qw::train
