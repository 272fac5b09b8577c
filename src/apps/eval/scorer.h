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

  // Calls done(i, Σ log p of the scored ids of sequence i), in order. Sequences are not longer than the model
  // allows, and scored_from is in [1, ids.size()). Errors: those of `done`.
  Status score(std::span<const Sequence> sequences,
               const std::function<Status(size_t i, double log_p)>& done);

 private:
  std::vector<float> losses(std::span<const Sequence> sequences);

  const Model& model_;
  Backend& backend_;
  std::shared_ptr<const AdapterSet> adapter_;
  Arena arena_;
};

}  // namespace qw::eval
