// KvManager: who uses which page and which slot of a KvPool. Pure host logic: it never touches the memory;
// copies of recurrent state are handed out as StateOps for the engine to run in order.
//
// A page is free, owned by the one sequence that writes it, or cached: full, read-only, a node of the prefix
// tree and shared by any number of sequences. One page index stands for that page in every cache group.
// Test: tests/engine/kv_manager_test.cc, tests/property/scheduler_fuzz_test.cc
#pragma once

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
#include "engine/sequence.h"

namespace qw {

// Work on slots of recurrent state. The order of a list matters: a slot may be read and then reused.
struct StateOp {
  enum class Kind : uint8_t { clear, copy };
  Kind kind = Kind::clear;
  int32_t to = 0;
  int32_t from = 0;  // copy
  friend bool operator==(const StateOp&, const StateOp&) = default;
};

struct KvManagerOptions {
  int n_pages = 0;
  int n_slots = 0;  // recurrent states of running sequences and snapshots; 0: the model has none
  bool prefix_cache = true;
};

class KvManager {
 public:
  explicit KvManager(const KvManagerOptions& options);

  // Begins to keep the past of `id`: finds the longest cached prefix of `tokens` that ends before the last
  // token (so that there are logits to compute) and, with recurrent layers, at a snapshot. Answers the number
  // of tokens found, or nothing (and changes nothing) where no slot is left.
  std::optional<int> open(SeqId id, const PrefixKey& key, std::span<const int32_t> tokens,
                          std::vector<StateOp>& ops);
  // Pages for the first `n_tokens` tokens, evicting cached pages that nobody uses, least recently used first.
  // All or nothing.
  bool reserve(SeqId id, int n_tokens);
  // The cache now holds all of `tokens`: full pages go into the prefix tree, and a snapshot is taken where
  // they end at a page. Snapshots inside the answer (beyond n_prompt) replace each other.
  void commit(SeqId id, std::span<const int32_t> tokens, int n_prompt, std::vector<StateOp>& ops);
  // Ends it; what is cached stays for others.
  void close(SeqId id);

  bool is_open(SeqId id) const { return seqs_.contains(id); }
  // Page of each 32 tokens of a sequence; the same in every cache group.
  std::span<const int32_t> pages(SeqId id) const { return seq(id).pages; }
  int slot(SeqId id) const { return seq(id).slot; }  // −1 without recurrent layers

  // Pages that opening a sequence on `tokens` and reserving `n_tokens` would take out of available_pages().
  int page_cost(const PrefixKey& key, std::span<const int32_t> tokens, int n_tokens) const;
  int available_pages() const { return free_pages() + n_unpinned_; }  // free, or cached and unused
  int free_pages() const { return static_cast<int>(free_pages_.size()); }
  int cached_pages() const { return n_cached_; }
  int owned_pages() const { return options_.n_pages - free_pages() - n_cached_; }
  const KvManagerOptions& options() const { return options_; }
  // Steps should end at page borders, where snapshots can be taken.
  bool wants_page_borders() const { return options_.n_slots > 0 && options_.prefix_cache; }

  // The first broken invariant (free + cached + owned = total, one writer a page, reference counts, tree and
  // slots consistent), or "" where all hold. For tests: O(pages + sequences).
  std::string check_integrity() const;

 private:
  using Block = std::array<int32_t, kPageTokens>;
  using Children = std::map<Block, int32_t>;

  // The tree node that a cached page is. `refs` counts sequences whose path runs through it.
  struct Node {
    bool cached = false;
    Block ids{};
    PrefixKey key;
    int32_t parent = -1;  // −1: a child of the root of `key`
    Children children;
    int refs = 0;
    int32_t snapshot = -1;  // slot of the state after its last token
    uint64_t last_use = 0;
    uint64_t snapshot_use = 0;
  };
  struct Seq {
    PrefixKey key;
    std::vector<int32_t> pages;  // first n_shared: cached, the rest owned
    int n_shared = 0;
    int32_t slot = -1;
    int32_t rolling = -1;  // the page whose snapshot lies inside the answer
  };

  const Seq& seq(SeqId id) const;
  Seq& seq(SeqId id) { return const_cast<Seq&>(std::as_const(*this).seq(id)); }
  Node& node(int32_t page) { return nodes_[static_cast<size_t>(page)]; }
  const Node& node(int32_t page) const { return nodes_[static_cast<size_t>(page)]; }
  const Children* children(const PrefixKey& key, int32_t parent) const;
  std::vector<int32_t> match(const PrefixKey& key, std::span<const int32_t> tokens) const;
  void publish(Seq& s, const Block& ids);
  void snapshot(Seq& s, bool in_answer, std::vector<StateOp>& ops);
  void drop_snapshot(int32_t page);
  int32_t take_slot();
  int32_t take_page();
  void evict(int32_t page);
  void pin(int32_t page);
  void unpin(int32_t page);
  std::string check_pages() const;
  std::string check_tree() const;
  std::string check_slots() const;

  KvManagerOptions options_;
  std::vector<Node> nodes_;  // by page
  std::map<PrefixKey, Children> roots_;
  std::unordered_map<SeqId, Seq> seqs_;
  std::vector<int32_t> free_pages_, free_slots_;
  std::set<std::pair<uint64_t, int32_t>> evictable_;  // (last use, page) of unused leaves
  std::set<std::pair<uint64_t, int32_t>> snapshots_;  // (last use, page) of nodes with a snapshot
  int n_cached_ = 0;
  int n_unpinned_ = 0;  // cached pages that no sequence uses
  uint64_t tick_ = 0;   // logical time of uses
};

}  // namespace qw
