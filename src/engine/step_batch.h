// From a StepPlan to the Batch that a model sees. Plain host data on both sides.
// Test: tests/property/scheduler_fuzz_test.cc, tests/engine/engine_test.cc
#pragma once

#include <functional>

#include "core/adapter.h"
#include "core/batch.h"
#include "core/kv_pool.h"
#include "engine/kv_manager.h"
#include "engine/scheduler.h"

namespace qw {

using FindSequence = std::function<const Sequence&(SeqId)>;

// Logits: for every item with `sample` a row for its last sure token and one for each drafted one. The caller
// sets plan.pool; `n_groups` is the number of its cache groups, which share one table here (kv_manager.h).
Batch make_batch(const StepPlan& plan, const FindSequence& find, const KvManager& kv, int n_groups);

// Runs them in order.
void run_state_ops(KvPool& pool, const std::vector<StateOp>& ops);

// Which rows of that batch use which adapter; null: the base model.
using FindAdapter = std::function<std::shared_ptr<const AdapterSet>(SeqId)>;
AdapterMap make_adapter_map(const StepPlan& plan, const FindAdapter& find);

}  // namespace qw
