// Speculation: a drafter, and for each sequence how much of it is worth while. The engine's thread alone.
// Test: tests/engine/speculation_test.cc
#pragma once

#include <memory>
#include <unordered_map>

#include "engine/draft_policy.h"
#include "engine/drafter.h"

namespace qw {

class Speculation {
 public:
  // `adapts`: drafts only as deep as pays; else as deep as it may.
  Speculation(std::unique_ptr<Drafter> drafter, int max_depth, bool adapts)
      : drafter_(std::move(drafter)), policy_(max_depth), max_depth_(max_depth), adapts_(adapts) {}

  // Drafts at most `depth` tokens for each, fewer or none where that would be slower; at most max_depth.
  void propose(std::vector<DraftTask>& tasks);
  // Forward pass and all of a step that only decoded.
  void saw_step(int rows, double seconds) { policy_.saw_step(rows, seconds); }
  void saw_verdict(SeqId id, int drafted, int accepted) { acceptance_[id].add(drafted, accepted); }
  void forget(SeqId id);
  Drafter& drafter() { return *drafter_; }

 private:
  std::unique_ptr<Drafter> drafter_;
  DraftPolicy policy_;
  std::unordered_map<SeqId, Acceptance> acceptance_;
  int max_depth_;
  bool adapts_;
};

}  // namespace qw
