// How much memory a model will take beside what there is. Test: tests/e2e/run_test.cc (--dry-run)
#pragma once

#include <cstddef>

#include "apps/console.h"
#include "base/json.h"
#include "engine/options.h"

namespace qw::apps {

// Bytes that this process may still take: MemAvailable of the machine or the room below the cgroup's limit,
// whichever is less; 0 where the system does not say.
size_t available_memory();

// The plan of an engine with these options. Where it does not fit into memory: without `fixed_ctx` the
// context is made shorter, not below `min_ctx`, and a note says so; else memory.exhausted (args bytes).
Result<MemoryPlan> fit_memory(Console& console, Model& model, EngineOptions& options, bool fixed_ctx,
                              int min_ctx);

Json plan_json(const MemoryPlan& plan);
std::string plan_text(const Console& console, const MemoryPlan& plan);

// "1.5 GB", "98.4 MB".
std::string bytes_text(size_t bytes);

}  // namespace qw::apps
