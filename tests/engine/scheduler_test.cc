#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <memory>

namespace qw {
namespace {

constexpr int P = kPageTokens;

// Sequences that answer with ever new tokens, driven by hand.
struct Fixture {
  KvManager kv;
  Scheduler scheduler;
  std::vector<std::unique_ptr<Sequence>> seqs;

  Fixture(const KvManagerOptions& k, const SchedulerOptions& s) : kv(k), scheduler(s, kv) {}

  Sequence& add(int n_tokens, uint64_t tenant = 0) {
    auto s = std::make_unique<Sequence>();
    s->id = seqs.size() + 1;
    s->key.tenant = tenant;
    for (int i = 0; i < n_tokens; ++i) s->tokens.push_back(static_cast<int32_t>(s->id * 100000) + i);
    s->n_prompt = n_tokens;
    scheduler.add(*s);
    seqs.push_back(std::move(s));
    return *seqs.back();
  }

  StepPlan step() {
    StepPlan plan = scheduler.plan();
    scheduler.commit(plan);
    for (const StepPlan::Item& item : plan.items)
      if (item.sample) seqs[item.seq - 1]->tokens.push_back(7);
    EXPECT_EQ(kv.check_integrity(), "");
    return plan;
  }
};

int count_of(const StepPlan& plan, SeqId id) {
  for (const StepPlan::Item& item : plan.items)
    if (item.seq == id) return item.count;
  return 0;
}

TEST(Scheduler, CutsALongPromptAndDecodesBesideIt) {
  Fixture f({.n_pages = 100}, {.max_batch_tokens = 64, .max_seqs = 4});
  f.add(10);
  f.step();
  f.add(200);
  for (const int chunk : {63, 63, 63, 11}) {
    const StepPlan plan = f.step();
    EXPECT_EQ(count_of(plan, 1), 1);  // decoding goes on in every step
    EXPECT_EQ(count_of(plan, 2), chunk);
    EXPECT_EQ(plan.items.back().sample, chunk == 11);
  }
  EXPECT_EQ(f.step().n_tokens(), 2);
}

TEST(Scheduler, SharesPromptTokensBetweenTenants) {
  Fixture f({.n_pages = 1000}, {.max_batch_tokens = 100, .max_seqs = 8});
  f.add(5000, 1);
  f.step();
  f.add(40, 2);
  const StepPlan plan = f.step();
  EXPECT_EQ(count_of(plan, 2), 40);
  EXPECT_EQ(count_of(plan, 1), 60);  // its share of 50, and what tenant 2 left
}

TEST(Scheduler, AdmitsTenantsInTurn) {
  Fixture f({.n_pages = 1000}, {.max_batch_tokens = 64, .max_seqs = 4});
  for (int i = 0; i < 6; ++i) f.add(8, 1);
  const SeqId other = f.add(8, 2).id;
  const StepPlan plan = f.step();
  EXPECT_EQ(plan.admitted, (std::vector<SeqId>{1, other, 2, 3}));
}

TEST(Scheduler, PreemptsTheYoungestAndComesBack) {
  Fixture f({.n_pages = 5}, {.max_batch_tokens = 128, .max_seqs = 4});
  Sequence& a = f.add(2 * P - 1);
  Sequence& b = f.add(P);
  f.step();
  EXPECT_EQ(f.scheduler.n_running(), 2);
  bool preempted = false;
  while (a.n_tokens() < 5 * P) {
    const int before = a.n_tokens();
    const StepPlan plan = f.step();
    EXPECT_EQ(a.n_tokens(), before + 1);  // the oldest never waits
    if (plan.preempted.empty()) continue;
    EXPECT_EQ(plan.preempted, std::vector<SeqId>{b.id});
    preempted = true;
  }
  EXPECT_TRUE(preempted);
  EXPECT_EQ(b.state, SeqState::preempted);
  const int left = b.n_tokens();
  f.scheduler.remove(a);
  f.step();
  EXPECT_EQ(b.state, SeqState::running);
  EXPECT_EQ(b.n_tokens(), left + 1);
  EXPECT_EQ(b.n_admissions, 2);
}

TEST(Scheduler, NobodyOvertakesALargePrompt) {
  Fixture f({.n_pages = 8}, {.max_batch_tokens = 512, .max_seqs = 8});
  Sequence& a = f.add(4 * P);
  f.step();
  Sequence& large = f.add(7 * P, 1);
  f.add(4, 2);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(f.step().admitted.empty());
  f.scheduler.remove(a);
  EXPECT_EQ(f.step().admitted.front(), large.id);
}

TEST(Scheduler, PlansSnapshotsInTheMiddleOfAStep) {
  Fixture f({.n_pages = 100, .n_slots = 8},
            {.max_batch_tokens = 100, .max_seqs = 2, .snapshot_every = 2 * P});
  Sequence& a = f.add(4 * P + 20);
  a.borders = {P + 3, 4 * P + 19};
  const auto positions = [](const StepPlan& plan) {
    std::vector<int> out;
    for (const StateSave& save : plan.items.at(0).saves) out.push_back(save.n_tokens);
    return out;
  };
  EXPECT_EQ(positions(f.step()), (std::vector<int>{P + 3, 2 * P}));
  EXPECT_EQ(positions(f.step()), (std::vector<int>{4 * P, 4 * P + 19}));
  EXPECT_EQ(positions(f.step()), (std::vector<int>{}));
  f.scheduler.remove(a);
  EXPECT_EQ(f.kv.snapshots(), 5);  // and the last one
  Sequence again = a;
  again.id = 99;
  again.state = SeqState::waiting;
  again.tokens.resize(static_cast<size_t>(4 * P) + 5);
  again.n_computed = 0;
  again.n_admissions = 0;
  f.scheduler.add(again);
  const StepPlan plan = f.scheduler.plan();
  EXPECT_EQ(again.n_cached, 4 * P);
  EXPECT_EQ(again.reuse.limit, ReuseLimit::no_snapshot);
  ASSERT_EQ(plan.state_ops.size(), 1U);
  EXPECT_EQ(plan.state_ops[0].kind, StateOp::Kind::copy);
  EXPECT_EQ(count_of(plan, 99), 5);
  f.scheduler.remove(again);
}

TEST(Scheduler, RemoveInAnyStateFreesEverything) {
  Fixture f({.n_pages = 6}, {.max_batch_tokens = 64, .max_seqs = 2});
  Sequence& running = f.add(3 * P - 1);
  Sequence& partial = f.add(3 * P - 2);
  Sequence& waiting = f.add(P);
  f.step();
  f.step();
  EXPECT_EQ(waiting.state, SeqState::waiting);
  for (Sequence* s : {&waiting, &partial, &running}) f.scheduler.remove(*s);
  EXPECT_TRUE(f.scheduler.idle());
  EXPECT_EQ(f.kv.owned_pages(), 0);
  EXPECT_EQ(f.kv.available_pages(), 6);
  EXPECT_TRUE(f.scheduler.plan().items.empty());
}

}  // namespace
}  // namespace qw
