// Log probabilities of given texts: many sequences a forward step, each attending to itself alone, without an
// engine. Test: tests/e2e/eval_test.cc
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/arena.h"
#include "models/model.h"

namespace qw::eval {

// Ids of which those from `scored_from` on are asked for; the first id of a sequence has no probability.
struct Sequence {
  std::vector<int32_t> ids;
  size_t scored_from = 1;
};

class Scorer {
 public:
  // Model and backend outlive the scorer; `adapter` (may be null) is on every row.
  Scorer(const Model& model, Backend& backend, std::shared_ptr<const AdapterSet> adapter)
      : model_(model), backend_(backend), adapter_(std::move(adapter)), arena_(backend) {}

  // Σ log p of the scored ids of a sequence, or: memory.plan (its step does not fit beside what is there),
  // engine.non_finite (args position).
  using Done = std::function<Status(size_t i, const Result<double>& log_p)>;

  // Calls `done` for each, in order. Sequences are not longer than the model allows, their ids are the
  // model's, and scored_from is in [1, ids.size()). Errors: those of `done`.
  Status score(std::span<const Sequence> sequences, const Done& done);

 private:
  Result<std::vector<float>> step(std::span<const Sequence> sequences);
  std::vector<float> losses(Ctx& cx, std::span<const Sequence> sequences) const;

  const Model& model_;
  Backend& backend_;
  std::shared_ptr<const AdapterSet> adapter_;
  Arena arena_;
  size_t fits_ids_ = 0, fits_scored_ = 0;  // a step of so many was found to fit
};

}  // namespace qw::eval
