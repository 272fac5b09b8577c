// ModelDrafter: a smaller model with the same vocabulary drafts. It has pages, slots and a prefix cache of
// its own and draws as the model that it drafts for would: the same parameters, penalties and random numbers.
// Test: tests/engine/speculation_test.cc
#pragma once

#include <map>

#include "core/kv_pool.h"
#include "engine/drafter.h"
#include "engine/options.h"

namespace qw {

class ModelDrafter final : public Drafter {
 public:
  // For an engine with `limits`; `vocab` is that of the model drafted for. Errors: memory.exhausted.
  static Result<std::unique_ptr<ModelDrafter>> create(std::shared_ptr<const Model> model, Backend& backend,
                                                      const EngineLimits& limits, DType kv_dtype, int vocab);
  void propose(std::span<DraftTask> tasks) override;
  void forget(SeqId id) override;

 private:
  // A task while it is drafted for. `text`: the tokens of the sequence, then those drafted.
  struct Guess {
    DraftTask* task = nullptr;
    Sequence text;
    int32_t slot = -1;  // where drafting goes on; the sequence's own state stays behind its last token
  };
  ModelDrafter(std::shared_ptr<const Model> model, Backend& backend, const EngineLimits& limits, int vocab);
  bool begin(DraftTask& task, int spare_slot, Guess& guess);
  bool catch_up(std::vector<Guess>& guesses);
  std::vector<float> forward(const StepPlan& plan, std::vector<Guess>& guesses, bool drafting);
  void draw(std::vector<Guess>& guesses, std::span<const float> logits);

  std::shared_ptr<const Model> model_;
  Backend& backend_;
  EngineLimits limits_;
  int vocab_;  // of both
  std::unique_ptr<KvPool> pool_;
  KvManager kv_;
  Arena arena_;
  DraftSampler sampler_;
  std::map<SeqId, Sequence> seqs_;  // those that are open, as far as they are computed
};

}  // namespace qw
