#include "engine/speculation.h"

#include <algorithm>
#include <chrono>

namespace qw {

void Speculation::propose(std::vector<DraftTask>& tasks) {
  const int n_seqs = static_cast<int>(tasks.size());
  for (DraftTask& t : tasks)
    t.depth = std::min(t.depth, adapts_ ? policy_.depth(acceptance_[t.seq->id], n_seqs) : max_depth_);
  const auto start = std::chrono::steady_clock::now();
  drafter_->propose(tasks);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  int drafted = 0;
  for (const DraftTask& t : tasks) drafted += static_cast<int>(t.out.size());
  if (drafted > 0) policy_.saw_draft(drafted, seconds);
}

void Speculation::forget(SeqId id) {
  acceptance_.erase(id);
  drafter_->forget(id);
}

}  // namespace qw
