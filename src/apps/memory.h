// How much memory a model will take beside what there is. Test: tests/apps/memory_test.cc,
// tests/e2e/run_test.cc
// (--dry-run)
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string_view>

#include "apps/console.h"
#include "base/json.h"
#include "engine/options.h"
#include "io/checkpoint.h"

namespace qw::apps {

// Bytes that this process may still take: MemAvailable of the machine or the room below the limits of its
// cgroups, whichever is least; 0 where the system does not say. Memory that holds parts of files counts as
// free: it can be had.
size_t available_memory();
// The least room that the cgroup `own` ("/a/b", of version 2) and those above it leave, below `root`; none
// where nothing is limited.
std::optional<size_t> cgroup_room(const std::filesystem::path& root, std::string_view own);

// Whether `bytes` fit into so much memory (0: the system does not say) beside what the program itself takes.
bool fits_into(size_t bytes, size_t available);

// What was free before the weights of an open model were read, and whether they are pages of their files,
// which need not stay in memory.
struct WeightMemory {
  size_t available = 0;  // bytes; 0: the system does not say
  bool mapped = false;
};

// Whether weights of a checkpoint fit into memory, by the size of what is read of its files, before any of
// them is read; beside another one's that will be there too. Errors: memory.model_too_large (args file,
// needed, available, four_bits).
Status check_weights_fit(const Checkpoint& checkpoint, const Checkpoint* other = nullptr);

// Whether `bytes` more can be taken. Errors: memory.plan (args needed, available).
Status check_free_memory(size_t bytes);

// The plan of an engine with these options. Where it does not fit into memory: fewer snapshots are kept;
// then, without `fixed_ctx`, the context is made shorter, not below `min_ctx`, and a note says so; else
// memory.exhausted (args bytes).
Result<MemoryPlan> fit_memory(Console& console, Model& model, EngineOptions& options, bool fixed_ctx,
                              int min_ctx, const WeightMemory& weights);

Json plan_json(const MemoryPlan& plan);
std::string plan_text(const Console& console, const MemoryPlan& plan);

// "1.5 GB", "98.4 MB".
std::string bytes_text(size_t bytes);

}  // namespace qw::apps
