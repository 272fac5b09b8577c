// How an engine is set up, and what that takes of memory. Test: tests/engine/options_test.cc
#pragma once

#include "models/model.h"

namespace qw {

// Where drafted tokens come from (drafter.h).
enum class DraftSource : uint8_t { off, ngram, mtp, model };

struct EngineOptions {
  int ctx_tokens = 0;           // prompt and answer of one request; 0: what the model allows
  DType kv_dtype = DType::f16;  // or f32
  int max_batch_tokens = 512;   // raised to max_seqs where it is less
  int max_seqs = 16;            // requests that run at once; the rest wait
  size_t kv_bytes = 0;          // for KV pages; 0: the context of each of max_seqs
  // Of recurrent state, for prefix hits of models that have it: as many as the bytes hold, at most
  // n_snapshots and, where that is not 0, at least one.
  int n_snapshots = 64;
  size_t snapshot_bytes = size_t{1} << 30;
  bool prefix_cache = true;
  DraftSource draft = DraftSource::off;
  int max_draft =
      8;  // tokens a step and sequence; with recurrent layers at most 4, each of which takes a state
  bool draft_adapts = true;                 // to what pays; else always max_draft
  std::shared_ptr<Model> draft_model = {};  // DraftSource::model: one with the same vocabulary
  int adapter_rank = 0;                     // the memory plan counts one adapter of this rank on every matrix
  Trace trace = {};                         // taps of every step; empty: none
};

// Snapshots of a draft model with recurrent layers, for the beginnings of later requests.
inline constexpr int kDraftModelSnapshots = 8;

// What the options come to for a model.
struct EngineLimits {
  int ctx_tokens = 0;
  int max_seqs = 0;
  int max_batch_tokens = 0;
  int n_pages = 0;
  int n_slots = 0;  // max_seqs, and the snapshots; 0: no recurrent layers
  int max_draft = 0;
  int n_draft_slots = 0;   // states to go back to where drafted tokens are refused
  int snapshot_every = 0;  // tokens between the snapshots that are taken whatever the text; 0: none
  int n_snapshots() const { return n_slots > 0 ? n_slots - max_seqs : 0; }
};

// Errors: engine.context_too_long (args tokens, limit), engine.kv_too_small (args bytes, needed),
// engine.no_mtp (args model), engine.draft_vocab (args draft, vocab).
Result<EngineLimits> engine_limits(const Model& model, DType real, const EngineOptions& options);

struct MemoryPlan {
  EngineLimits limits;
  size_t weight_bytes = 0;
  size_t kv_bytes = 0;
  size_t state_bytes = 0;       // recurrent
  size_t activation_bytes = 0;  // of the largest step
  size_t draft_bytes = 0;       // of a model that drafts, all together
  size_t total_bytes() const {
    return weight_bytes + kv_bytes + state_bytes + activation_bytes + draft_bytes;
  }
};

// Memory that an engine with these options will use. Nothing is allocated: the activations are counted by
// running the largest step on a backend that computes nothing. The model must be loaded. Errors as
// engine_limits.
Result<MemoryPlan> plan_memory(Model& model, DType real, const EngineOptions& options);

}  // namespace qw
