// Scheduler: which sequences compute how many tokens in the next step. Pure host logic: no clock, no tensor,
// no I/O. Promises, held by the fuzzer:
//  - every running sequence advances in every step (decodes first, so a long prompt delays nobody's next
//    token);
//  - the tokens that decoding leaves over go to prompts, in chunks, shared evenly between tenants;
//  - waiting sequences enter tenant by tenant in turn, each tenant's in order, and nobody overtakes one that
//    is too large for the pages left now;
//  - where pages run out the youngest running sequence is preempted: its pages go, its tokens stay, and it
//    is computed again later. The oldest always advances, so every sequence ends.
// Test: tests/engine/scheduler_test.cc, tests/property/scheduler_fuzz_test.cc
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "engine/kv_manager.h"
#include "engine/sequence.h"

namespace qw {

struct SchedulerOptions {
  int max_batch_tokens = 512;  // at least max_seqs
  int max_seqs = 16;           // running at once
  int snapshot_every = 0;  // tokens between snapshots of recurrent state, beside Sequence::borders; 0: none
  // Whether the recurrent state of a sequence may be kept when it is preempted; none: it may.
  std::function<bool(SeqId)> state_is_sound = {};
};

// One step, as plain data.
struct StepPlan {
  struct Item {
    SeqId seq = 0;
    int begin = 0;  // index of its first token
    int count = 0;  // tokens to compute
    // The last ones of them: the first of Sequence::draft. Logits are wanted from the one before them on.
    int drafted = 0;
    bool sample = false;                // the last one is the sequence's last: its logits are wanted
    std::vector<StateSave> saves = {};  // snapshots to take on the way

    int sure() const { return count - drafted; }
  };
  std::vector<Item> items;
  std::vector<StateOp> state_ops;  // to run before the forward pass, in order
  std::vector<SeqId> admitted;
  std::vector<SeqId> preempted;

  int n_tokens() const;
};

class Scheduler {
 public:
  // `kv` must outlive the scheduler. A sequence must fit into its pages when it is alone:
  // n_tokens() <= n_pages · 32 at all times; and there must be a slot for each of max_seqs.
  Scheduler(const SchedulerOptions& options, KvManager& kv);

  // Takes a waiting sequence. The caller keeps it alive until remove().
  void add(Sequence& seq);
  // Forgets a sequence in any state, frees what it holds and marks it finished. What it computed stays in the
  // prefix cache, unless it is not `sound` (it has met numbers that are not finite).
  void remove(Sequence& seq, bool sound = true);

  StepPlan plan();
  // After the forward pass of `plan`; sequences removed since then are passed over. Tokens sampled in this
  // step are appended by the caller afterwards.
  void commit(const StepPlan& plan);
  // For each sequence with drafted tokens, after commit(): the first `n` of them were right.
  void accept(Sequence& seq, int n);

  bool idle() const { return running_.empty() && ring_.empty(); }
  int n_running() const { return static_cast<int>(running_.size()); }
  int n_waiting() const;

 private:
  // The state of plan().
  struct Step {
    StepPlan plan;
    int budget = 0;
    int share = 0;                          // of prompt tokens, for one tenant
    std::map<uint64_t, int> prompt_tokens;  // already given, by tenant
  };

  void advance_decodes(Step& step);
  void advance_prompts(Step& step);
  void extend_prompts(Step& step);
  void admit(Step& step, bool keep_to_share);
  bool fits(const Sequence& seq) const;
  bool make_room(Step& step, Sequence& seq, int n_tokens);
  void give(Step& step, Sequence& seq, int n_tokens);
  void preempt(Step& step, Sequence& victim);
  void add_drafts(Step& step, StepPlan::Item& item);
  void add_branch(Sequence& seq) const;
  std::vector<int> borders_in(const Sequence& seq, int begin, int end) const;
  int affordable(const Sequence& seq) const;
  int tenants_with_prompts() const;
  Sequence* find_running(SeqId id) const;

  SchedulerOptions options_;
  KvManager& kv_;
  std::vector<Sequence*> running_;                     // ascending id
  std::map<uint64_t, std::deque<Sequence*>> waiting_;  // by tenant; none is empty
  std::deque<uint64_t> ring_;                          // tenants of waiting_, next first
};

}  // namespace qw
