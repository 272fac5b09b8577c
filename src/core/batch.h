// Batch: one ragged step of any number of sequences, as plain host data that could be sent to another
// machine. Prefill, decode and training are values of it, not branches. Test:
// tests/property/paths_agree_test.cc
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace qw {

class KvPool;

// Tokens of one KV page. Attention walks keys in blocks of this many, so that its bits do not depend on
// paging.
inline constexpr int kPageTokens = 32;

// What one layer keeps of the past. A layer has a list of these (newest hybrids need several).
struct CacheSpec {
  enum class Kind : uint8_t { paged, window, recurrent };
  Kind kind = Kind::paged;
  int kv_heads = 0;    // paged, window
  int head_dim = 0;    // paged, window
  int window = 0;      // window: a query sees itself and window − 1 earlier tokens
  int64_t floats = 0;  // recurrent: size of the state of one sequence
  friend bool operator==(const CacheSpec&, const CacheSpec&) = default;
};
using LayerCache = std::vector<CacheSpec>;

// Where the rows of a step look. S sequences, T rows. Sequence s owns rows cu_q[s] … cu_q[s+1]−1, which are
// its last positions: position of its first row = kv_len[s] − (cu_q[s+1] − cu_q[s]).
struct AttnPlan {
  std::vector<int32_t> cu_q;    // [S + 1]
  std::vector<int32_t> kv_len;  // [S], keys after this step
  // Paged use; one table a cache group (KvPool::group_of(layer)): pages of sequence s at [s · max_blocks, …).
  // Unused entries are 0.
  struct Table {
    std::vector<int32_t> pages;  // [S, max_blocks]
    int max_blocks = 0;
  };
  std::vector<Table> tables;
  std::vector<int32_t> state_slots;  // [S] slot of recurrent state (pools with recurrent layers)
  // A recurrent layer also writes the state that its sequence has after row `row` of the step into `slot`: a
  // snapshot for the prefix tree, or a point to go back to when drafted tokens are refused.
  struct StateSave {
    int32_t row = 0;
    int32_t slot = 0;
    friend bool operator==(const StateSave&, const StateSave&) = default;
  };
  std::vector<StateSave> state_saves;  // strictly ascending rows; no slot twice, none of state_slots
  // [S] tokens of the prompt of each sequence, for models whose keys depend on it (Model::prompt_class);
  // empty: kv_len, as for a document that is computed whole.
  std::vector<int32_t> n_prompt;
  KvPool* pool = nullptr;  // null: attend inside the batch (training, encoders); kv_len = rows then

  int n_seqs() const { return static_cast<int>(kv_len.size()); }
};

struct Batch {
  std::vector<int32_t> ids;         // [T]
  std::vector<int32_t> positions;   // [T]
  std::vector<int32_t> logit_rows;  // rows whose logits are wanted, ascending
  AttnPlan plan;

  int n_rows() const { return static_cast<int>(ids.size()); }
};

// A batch without a pool: each document attends to itself alone (training, golden comparisons). All rows'
// logits are wanted.
Batch dense_batch(const std::vector<std::vector<int32_t>>& documents);

}  // namespace qw
