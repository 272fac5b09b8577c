// KvManager: who uses which page and which slot of a KvPool. Pure host logic: it never touches the memory;
// copies are handed out as StateOps for the engine to run in order.
//
// A page is free, owned by the one sequence that writes it, or cached: a node of the prefix tree. A node of
// 32 tokens is read-only and shared by any number of sequences; one of fewer is the end of a text: its page
// may still have a writer, who only appends, and others begin on a copy of it. A snapshot is a slot that
// holds the recurrent state after some token of a node. One page index stands for that page in every cache
// group. Test: tests/engine/kv_manager_test.cc, tests/property/scheduler_fuzz_test.cc
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/batch.h"
#include "engine/reuse.h"
#include "engine/sequence.h"

namespace qw {

// Work on slots of recurrent state and on pages. The order of a list matters: what is read may be reused
// afterwards.
struct StateOp {
  enum class Kind : uint8_t { clear, copy, copy_page };
  Kind kind = Kind::clear;
  int32_t to = 0;    // slot, or page
  int32_t from = 0;  // copy, copy_page
  friend bool operator==(const StateOp&, const StateOp&) = default;
};

// The state after the first `n_tokens` of a sequence is to be written into `slot` (AttnPlan::state_saves).
struct StateSave {
  int n_tokens = 0;
  int32_t slot = 0;
};

struct KvManagerOptions {
  int n_pages = 0;
  int n_slots = 0;  // recurrent states of running sequences and snapshots; 0: the model has none
  bool prefix_cache = true;
  int n_draft_slots = 0;  // beside n_slots: states to go back to where drafted tokens are refused
};

class KvManager {
 public:
  explicit KvManager(const KvManagerOptions& options);

  // Begins to keep the past of `id`: finds the longest cached beginning of `tokens` that leaves at least the
  // last token (so that there are logits to compute) and, with recurrent layers, ends at a snapshot. Answers
  // its length, or nothing (and changes nothing) where no slot is left.
  std::optional<int> open(SeqId id, const PrefixKey& key, std::span<const int32_t> tokens,
                          std::vector<StateOp>& ops);
  // What open() would find, and what keeps it from finding more.
  Reuse explain(const PrefixKey& key, std::span<const int32_t> tokens) const;
  // Pages for the first `n_tokens` tokens, evicting cached pages that nobody uses, least recently used first.
  // All or nothing.
  bool reserve(SeqId id, int n_tokens);
  // A step is about to compute tokens of `id`; snapshots are wanted after the first `positions[i]` tokens
  // (ascending). Answers those there are slots for.
  std::vector<StateSave> begin_step(SeqId id, std::span<const int> positions);
  // The step will also compute `n` drafted tokens, or as many of them as can be gone back on; answers how
  // many. Slots for the states before each of them are rollback(id): after the row of the last sure token,
  // after the first drafted one, …
  int begin_drafts(SeqId id, int n);
  std::span<const int32_t> rollback(SeqId id) const { return seq(id).rollback; }
  // After commit() of the sure ones: the first `n` of the drafted tokens were right, the state is that after
  // the last of these.
  void accept(SeqId id, int n);
  // The step is done and the cache holds all of `tokens`: full pages, the snapshots of begin_step and, at the
  // end of the prompt, the page begun are found by others from now on.
  void commit(SeqId id, std::span<const int32_t> tokens, int n_prompt);
  // Ends it. The cache keeps what there is of `tokens` (those committed) and, with `keep_state`, the state
  // after the last of them.
  void close(SeqId id, std::span<const int32_t> tokens, bool keep_state);
  // Ends it, and its text leaves the cache: its numbers cannot be trusted. What other sequences still use of
  // it goes with them, and nobody begins on it until then.
  void discard(SeqId id);

  bool is_open(SeqId id) const { return seqs_.contains(id); }
  // Page of each 32 tokens of a sequence; the same in every cache group.
  std::span<const int32_t> pages(SeqId id) const { return seq(id).pages; }
  int slot(SeqId id) const { return seq(id).slot; }  // −1 without recurrent layers
  // The state in that slot is the one after the last token committed (it is not while a step runs).
  bool state_is_current(SeqId id) const { return recurrent() && !seq(id).in_step; }

  // Pages that opening a sequence on `tokens` and reserving `n_tokens` would take out of available_pages().
  int page_cost(const PrefixKey& key, std::span<const int32_t> tokens, int n_tokens) const;
  int available_pages() const { return free_pages() + n_unpinned_; }  // free, or cached and unused
  int free_pages() const { return static_cast<int>(free_pages_.size()); }
  int cached_pages() const { return n_cached_; }
  int owned_pages() const { return options_.n_pages - free_pages() - n_cached_; }
  int snapshots() const { return n_snapshots_; }
  const KvManagerOptions& options() const { return options_; }
  bool wants_snapshots() const { return recurrent() && options_.prefix_cache; }

  // The first broken invariant (free + cached + owned = total, one writer a page, reference counts, tree,
  // slots and snapshots consistent), or "" where all hold. For tests: O(pages + sequences).
  std::string check_integrity() const;

 private:
  using Run = std::span<const int32_t>;
  struct RunLess {
    bool operator()(Run a, Run b) const {
      return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
    }
  };
  using Children = std::map<Run, int32_t, RunLess>;  // keys are views of Node::ids

  struct Node {
    bool in_tree = false;
    bool written = false;  // a sequence owns the page and appends to it
    int n = 0;             // tokens that others may use
    std::array<int32_t, kPageTokens> ids{};
    PrefixKey key;
    int32_t parent = -1;             // −1: a child of the root of `key`
    int depth = 0;                   // tokens before this page
    uint64_t hash = 0;               // of the text up to its end
    Children children;               // of full nodes
    std::vector<int32_t> snapshots;  // slots, by ascending offset
    bool suspect = false;            // see discard()
    int refs = 0;                    // sequences whose path runs through it, its writer among them
    uint64_t last_use = 0;

    Run run() const { return {ids.data(), static_cast<size_t>(n)}; }
    bool full() const { return n == kPageTokens; }
  };
  struct Snapshot {  // by slot
    int32_t page = -1;
    int offset = 0;      // 1 … 32: tokens of the page that the state has seen
    uint64_t stamp = 0;  // n_stored_ at its last use
  };
  struct Seq {
    PrefixKey key;
    std::vector<int32_t> pages;  // first n_shared: full nodes, the rest owned
    int n_shared = 0;
    int32_t source = -1;  // the page whose copy it began on, when that had `source_hash`
    uint64_t source_hash = 0;
    int32_t slot = -1;
    bool in_step = false;  // between begin_step and commit, or accept where tokens were drafted
    int n_drafted = 0;
    std::vector<StateSave> saves;
    std::vector<int32_t> rollback;  // slots
  };
  // The cached beginning of a text that a sequence may start from.
  struct Match {
    std::vector<int32_t> path;  // full nodes
    int32_t tail = -1;          // a page of which the first `n_tail` tokens follow
    int n_tail = 0;
    int32_t slot = -1;   // snapshot of the state there
    int known = 0;       // tokens that the tree has, usable or not
    bool other = false;  // the tree goes on from there with other tokens
    int n_tokens() const { return static_cast<int>(path.size()) * kPageTokens + n_tail; }
  };

  bool recurrent() const { return options_.n_slots > 0; }
  const Seq& seq(SeqId id) const;
  Seq& seq(SeqId id) { return const_cast<Seq&>(std::as_const(*this).seq(id)); }
  Node& node(int32_t page) { return nodes_[static_cast<size_t>(page)]; }
  const Node& node(int32_t page) const { return nodes_[static_cast<size_t>(page)]; }
  Snapshot& snapshot(int32_t slot) { return snapshots_[static_cast<size_t>(slot)]; }
  const Snapshot& snapshot(int32_t slot) const { return snapshots_[static_cast<size_t>(slot)]; }

  // prefix_tree.cc
  const Children* children(const PrefixKey& key, int32_t parent) const;
  Children& children_of(const Seq& s);
  Match match(const PrefixKey& key, Run tokens) const;
  void match_tail(const Children& kids, Run rest, Match& m) const;
  int32_t last_snapshot(int32_t page, int most) const;
  void publish_full(Seq& s, Run ids);
  int32_t publish_tail(Seq& s, Run tokens);
  void enter(Children& kids, const Seq& s, int32_t page, Run ids);
  void leave(int32_t page);
  void absorb(Children& kids, int32_t page);
  void evict(int32_t page);
  void pin(int32_t page);
  void unpin(int32_t page);
  void settle(int32_t page);
  bool idle(int32_t page) const;
  bool useless(int32_t page) const;
  void add_snapshot(int32_t page, int offset, int32_t slot);
  void remove_snapshot(int32_t slot);
  void move_snapshots(int32_t from, int32_t to);
  int distance(int32_t slot) const;
  uint64_t hash_before(const Node& n) const;
  uint64_t hash_at(int32_t page, int offset) const;

  // kv_manager.cc
  int32_t take_slot(int32_t keep);
  double worth(int32_t slot) const;
  int32_t take_page();
  void publish_all(Seq& s, Run tokens);
  void begin_on(Seq& s, const Match& m, std::vector<StateOp>& ops);
  void release(Seq& s);

  // kv_integrity.cc
  std::string check_pages() const;
  std::string check_tree() const;
  std::string check_node(int32_t page) const;
  std::string check_slots() const;

  KvManagerOptions options_;
  std::vector<Node> nodes_;  // by page
  std::vector<Snapshot> snapshots_;
  std::map<PrefixKey, Children> roots_;
  std::unordered_map<SeqId, Seq> seqs_;
  std::vector<int32_t> free_pages_, free_slots_, draft_slots_;
  std::set<std::pair<uint64_t, int32_t>> evictable_;  // (last use, page) of unused leaves
  Ghosts ghosts_;
  int n_cached_ = 0;    // nodes without a writer
  int n_unpinned_ = 0;  // those that no sequence uses
  int n_snapshots_ = 0;
  uint64_t tick_ = 0;      // logical time of uses
  uint64_t n_stored_ = 0;  // snapshots so far
};

}  // namespace qw
