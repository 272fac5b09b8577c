// MtpDrafter: the model's own layer for multi-token prediction drafts (models/model.h). Its keys and values
// lie in the pages of the model's other layers, at the same positions, and are written here: after every step
// for all rows whose next token is known. Test: tests/engine/speculation_test.cc
#pragma once

#include "core/kv_pool.h"
#include "engine/drafter.h"

namespace qw {

class MtpDrafter final : public Drafter {
 public:
  // All of these are the engine's; `model` has multi-token prediction.
  MtpDrafter(const Model& model, Backend& backend, KvManager& kv, KvPool& pool, Arena& arena)
      : model_(model), backend_(backend), kv_(kv), pool_(pool), arena_(arena) {}

  bool wants_features() const override { return true; }
  void see(const StepPlan& plan, const Tensor& features, const FindRunning& find) override;
  void propose(std::span<DraftTask> tasks) override;

 private:
  struct Fed {
    Tensor features;  // [n, D], of the last row of each sequence
    std::vector<SeqId> ids;
  };
  Tensor run(Batch& batch, const Tensor& hidden);
  void draw(std::span<DraftTask* const> tasks, const Tensor& features);

  const Model& model_;
  Backend& backend_;
  KvManager& kv_;
  KvPool& pool_;
  Arena& arena_;
  DraftSampler sampler_;
  Fed fed_;
};

}  // namespace qw
