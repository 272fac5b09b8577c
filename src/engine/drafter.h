// Drafter: guesses what a sequence will say next. A guess costs and saves time and changes nothing else: the
// model computes the drafted rows beside the sure one, every row is sampled as it would be alone, and a
// drafted token stands exactly where it equals the one sampled. Test: tests/engine/speculation_test.cc
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/ctx.h"
#include "engine/kv_manager.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "models/model.h"

namespace qw {

// A sequence that decodes, with its last token not computed yet.
struct DraftTask {
  const Sequence* seq = nullptr;
  const SamplingParams* sampling = nullptr;
  const TokenHistory* history = nullptr;
  int depth = 0;                  // tokens wanted at most
  std::vector<int32_t> out = {};  // what the drafter answers
};

// Null: it has ended, or was preempted.
using FindRunning = std::function<const Sequence*(SeqId)>;

class Drafter {
 public:
  virtual ~Drafter() = default;
  // Whether see() is wanted after every step.
  virtual bool wants_features() const { return false; }
  // `features` [T, D]: those of every row of the step, whose tokens are sampled and accepted.
  virtual void see(const StepPlan& plan, const Tensor& features, const FindRunning& find) {
    (void)plan, (void)features, (void)find;
  }
  // At the end of a step, tokens sampled and accepted.
  virtual void propose(std::span<DraftTask> tasks) = 0;
  // The sequence is gone: finished, or preempted.
  virtual void forget(SeqId id) { (void)id; }
};

// Draws drafted tokens as the engine will draw the real ones: from logits over the first `vocab` ids, with
// the parameters, the penalties and the random number of the position. So where two models agree they say the
// same, at any temperature.
class DraftSampler {
 public:
  // The token after those of `task` and what was drafted for it already; none where the logits are no
  // numbers.
  std::optional<int32_t> draw(const DraftTask& task, std::span<const float> logits);

 private:
  Sampler sampler_;
};

// Prompt lookup: what followed the last time that the text ended as it does now (its last 2 tokens or more;
// the longest such ending, then the latest). It costs nothing, and is right where text is repeated: code that
// is edited, quotations, lists.
class NgramDrafter final : public Drafter {
 public:
  void propose(std::span<DraftTask> tasks) override;
};
std::vector<int32_t> look_up(std::span<const int32_t> tokens, int depth);

}  // namespace qw
