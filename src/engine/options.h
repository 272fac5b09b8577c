// How an engine is set up, and what that takes of memory. Test: tests/engine/options_test.cc
#pragma once

#include "models/model.h"

namespace qw {

struct EngineOptions {
  int ctx_tokens = 0;           // prompt and answer of one request; 0: what the model allows
  DType kv_dtype = DType::f16;  // or f32
  int max_batch_tokens = 512;   // raised to max_seqs where it is less
  int max_seqs = 16;            // requests that run at once; the rest wait
  size_t kv_bytes = 0;          // for KV pages; 0: the context of each of max_seqs
  int n_snapshots = 64;         // of recurrent state, for prefix hits of models that have it
  bool prefix_cache = true;
  int adapter_rank = 0;  // the memory plan counts one adapter of this rank on every matrix
  Trace trace = {};      // taps of every step; empty: none
};

// What the options come to for a model.
struct EngineLimits {
  int ctx_tokens = 0;
  int max_seqs = 0;
  int max_batch_tokens = 0;
  int n_pages = 0;
  int n_slots = 0;
};

// Errors: engine.context_too_long (args tokens, limit), engine.kv_too_small (args bytes, needed).
Result<EngineLimits> engine_limits(const Model& model, DType real, const EngineOptions& options);

struct MemoryPlan {
  EngineLimits limits;
  size_t weight_bytes = 0;
  size_t kv_bytes = 0;
  size_t state_bytes = 0;       // recurrent
  size_t activation_bytes = 0;  // of the largest step
  size_t total_bytes() const { return weight_bytes + kv_bytes + state_bytes + activation_bytes; }
};

// Memory that an engine with these options will use. Nothing is allocated: the activations are counted by
// running the largest step on a backend that computes nothing. The model must be loaded. Errors as
// engine_limits.
Result<MemoryPlan> plan_memory(Model& model, DType real, const EngineOptions& options);

}  // namespace qw
