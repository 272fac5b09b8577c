#include "engine/kv_manager.h"

#include <algorithm>

#include "base/check.h"

namespace qw {
namespace {

int blocks_for(int n_tokens) {
  return (n_tokens + kPageTokens - 1) / kPageTokens;
}

template <size_t N>
std::array<int32_t, N> block_at(std::span<const int32_t> tokens, size_t block) {
  std::array<int32_t, N> ids;
  std::copy_n(tokens.begin() + static_cast<ptrdiff_t>(block * N), N, ids.begin());
  return ids;
}

}  // namespace

KvManager::KvManager(const KvManagerOptions& options)
    : options_(options), nodes_(static_cast<size_t>(options.n_pages)) {
  for (int32_t p = options.n_pages - 1; p >= 0; --p) free_pages_.push_back(p);
  for (int32_t s = options.n_slots - 1; s >= 0; --s) free_slots_.push_back(s);
}

const KvManager::Seq& KvManager::seq(SeqId id) const {
  const auto it = seqs_.find(id);
  QW_CHECK(it != seqs_.end(), "sequence {} is not open", id);
  return it->second;
}

const KvManager::Children* KvManager::children(const PrefixKey& key, int32_t parent) const {
  if (parent >= 0) return &node(parent).children;
  const auto it = roots_.find(key);
  return it == roots_.end() ? nullptr : &it->second;
}

// The cached pages along `tokens` that a sequence may start from.
std::vector<int32_t> KvManager::match(const PrefixKey& key, std::span<const int32_t> tokens) const {
  std::vector<int32_t> path;
  if (!options_.prefix_cache || tokens.empty()) return path;
  const size_t limit = (tokens.size() - 1) / kPageTokens;
  size_t usable = 0;
  while (path.size() < limit) {
    const Children* kids = children(key, path.empty() ? -1 : path.back());
    if (kids == nullptr) break;
    const auto it = kids->find(block_at<kPageTokens>(tokens, path.size()));
    if (it == kids->end()) break;
    path.push_back(it->second);
    if (options_.n_slots == 0 || node(it->second).snapshot >= 0) usable = path.size();
  }
  path.resize(usable);
  return path;
}

std::optional<int> KvManager::open(SeqId id, const PrefixKey& key, std::span<const int32_t> tokens,
                                   std::vector<StateOp>& ops) {
  QW_CHECK(!seqs_.contains(id), "sequence {} is open already", id);
  Seq s;
  s.key = key;
  s.pages = match(key, tokens);
  s.n_shared = static_cast<int>(s.pages.size());
  if (options_.n_slots > 0) {
    int32_t from = -1;
    if (!s.pages.empty()) {  // used just now, so that take_slot() gives it up last
      Node& tail = node(s.pages.back());
      from = tail.snapshot;
      snapshots_.erase({tail.snapshot_use, s.pages.back()});
      tail.snapshot_use = ++tick_;
      snapshots_.insert({tail.snapshot_use, s.pages.back()});
    }
    s.slot = take_slot();
    if (s.slot < 0) return std::nullopt;
    if (from < 0)
      ops.push_back({StateOp::Kind::clear, s.slot, 0});
    else if (from != s.slot)  // equal: the snapshot itself was given up, and its state is where it must be
      ops.push_back({StateOp::Kind::copy, s.slot, from});
  }
  ++tick_;
  for (const int32_t page : s.pages) pin(page);
  const int found = s.n_shared * kPageTokens;
  seqs_.emplace(id, std::move(s));
  return found;
}

bool KvManager::reserve(SeqId id, int n_tokens) {
  Seq& s = seq(id);
  const int missing = blocks_for(n_tokens) - static_cast<int>(s.pages.size());
  if (missing > available_pages()) return false;
  for (int i = 0; i < missing; ++i) s.pages.push_back(take_page());
  return true;
}

void KvManager::commit(SeqId id, std::span<const int32_t> tokens, int n_prompt, std::vector<StateOp>& ops) {
  if (!options_.prefix_cache) return;
  Seq& s = seq(id);
  const size_t full = tokens.size() / kPageTokens;
  QW_CHECK(full <= s.pages.size(), "sequence {}: {} tokens in {} pages", id, tokens.size(), s.pages.size());
  ++tick_;
  while (static_cast<size_t>(s.n_shared) < full)
    publish(s, block_at<kPageTokens>(tokens, static_cast<size_t>(s.n_shared)));
  if (options_.n_slots > 0 && full > 0 && tokens.size() == full * kPageTokens)
    snapshot(s, static_cast<int>(tokens.size()) > n_prompt, ops);
}

// Makes the first owned page of `s` a node of the tree. Where another sequence was first with the same
// tokens, `s` goes on with that page, whose bits are the same (docs/design.md §3), and its own becomes free.
void KvManager::publish(Seq& s, const Block& ids) {
  int32_t& page = s.pages[static_cast<size_t>(s.n_shared)];
  const int32_t parent = s.n_shared == 0 ? -1 : s.pages[static_cast<size_t>(s.n_shared) - 1];
  Children& kids = parent >= 0 ? node(parent).children : roots_[s.key];
  const auto [it, is_new] = kids.emplace(ids, page);
  if (is_new) {
    Node& n = node(page);
    n.cached = true;
    n.ids = ids;
    n.key = s.key;
    n.parent = parent;
    n.refs = 1;
    ++n_cached_;
  } else {
    free_pages_.push_back(page);
    page = it->second;
    pin(page);
  }
  ++s.n_shared;
}

void KvManager::snapshot(Seq& s, bool in_answer, std::vector<StateOp>& ops) {
  const int32_t page = s.pages[static_cast<size_t>(s.n_shared) - 1];
  if (node(page).snapshot >= 0) return;
  if (in_answer && s.rolling >= 0 && node(s.rolling).snapshot >= 0) drop_snapshot(s.rolling);
  const int32_t slot = take_slot();
  if (slot < 0) return;
  Node& n = node(page);
  n.snapshot = slot;
  n.snapshot_use = tick_;
  snapshots_.insert({n.snapshot_use, page});
  s.rolling = in_answer ? page : -1;
  ops.push_back({StateOp::Kind::copy, slot, s.slot});
}

void KvManager::close(SeqId id) {
  Seq& s = seq(id);
  ++tick_;
  for (size_t i = s.pages.size(); i-- > 0;) {
    if (static_cast<int>(i) < s.n_shared)
      unpin(s.pages[i]);
    else
      free_pages_.push_back(s.pages[i]);
  }
  if (s.slot >= 0) free_slots_.push_back(s.slot);
  seqs_.erase(id);
}

int KvManager::page_cost(const PrefixKey& key, std::span<const int32_t> tokens, int n_tokens) const {
  int cost = blocks_for(n_tokens);
  for (const int32_t page : match(key, tokens))
    if (node(page).refs > 0) --cost;
  return cost;
}

void KvManager::drop_snapshot(int32_t page) {
  Node& n = node(page);
  free_slots_.push_back(n.snapshot);
  snapshots_.erase({n.snapshot_use, page});
  n.snapshot = -1;
}

// A free slot, else that of the snapshot used longest ago, else −1.
int32_t KvManager::take_slot() {
  if (free_slots_.empty() && !snapshots_.empty()) drop_snapshot(snapshots_.begin()->second);
  if (free_slots_.empty()) return -1;
  const int32_t slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

int32_t KvManager::take_page() {
  if (free_pages_.empty()) {
    QW_CHECK(!evictable_.empty(), "{} unused pages, but no leaf among them", n_unpinned_);
    evict(evictable_.begin()->second);
  }
  const int32_t page = free_pages_.back();
  free_pages_.pop_back();
  return page;
}

void KvManager::evict(int32_t page) {
  Node& n = node(page);
  evictable_.erase({n.last_use, page});
  if (n.snapshot >= 0) drop_snapshot(page);
  if (n.parent >= 0) {
    Node& parent = node(n.parent);
    parent.children.erase(n.ids);
    if (parent.refs == 0 && parent.children.empty()) evictable_.insert({parent.last_use, n.parent});
  } else {
    const auto root = roots_.find(n.key);
    root->second.erase(n.ids);
    if (root->second.empty()) roots_.erase(root);
  }
  n.cached = false;
  --n_cached_;
  --n_unpinned_;
  free_pages_.push_back(page);
}

void KvManager::pin(int32_t page) {
  Node& n = node(page);
  if (n.refs++ > 0) return;
  --n_unpinned_;
  evictable_.erase({n.last_use, page});
}

void KvManager::unpin(int32_t page) {
  Node& n = node(page);
  if (--n.refs > 0) return;
  ++n_unpinned_;
  n.last_use = tick_;
  if (n.children.empty()) evictable_.insert({n.last_use, page});
}

std::string KvManager::check_integrity() const {
  for (const std::string& broken : {check_pages(), check_tree(), check_slots()})
    if (!broken.empty()) return broken;
  return {};
}

std::string KvManager::check_pages() const {
  std::vector<int> uses(nodes_.size(), 0);  // as free, owned or cached: exactly once
  std::vector<int> refs(nodes_.size(), 0);
  for (const int32_t p : free_pages_) ++uses[static_cast<size_t>(p)];
  int n_owned = 0;
  for (const auto& [id, s] : seqs_) {
    for (size_t i = 0; i < s.pages.size(); ++i) {
      const auto p = static_cast<size_t>(s.pages[i]);
      if (static_cast<int>(i) >= s.n_shared) {
        ++uses[p];
        ++n_owned;
        continue;
      }
      ++refs[p];
      if (!nodes_[p].cached) return fmt::format("sequence {} shares page {}, which is not cached", id, p);
      if (nodes_[p].parent != (i == 0 ? -1 : s.pages[i - 1]))
        return fmt::format("sequence {}: page {} does not follow its parent", id, p);
    }
  }
  int n_cached = 0, n_unpinned = 0;
  for (size_t p = 0; p < nodes_.size(); ++p) {
    const Node& n = nodes_[p];
    if (n.cached) ++uses[p], ++n_cached, n_unpinned += refs[p] == 0 ? 1 : 0;
    if (uses[p] != 1) return fmt::format("page {} is used {} times", p, uses[p]);
    if (n.cached && n.refs != refs[p]) return fmt::format("page {}: {} refs, not {}", p, n.refs, refs[p]);
  }
  if (n_cached != n_cached_ || n_unpinned != n_unpinned_) return "counts of cached pages";
  if (free_pages() + n_cached + n_owned != options_.n_pages) return "free + cached + owned is not total";
  return {};
}

std::string KvManager::check_tree() const {
  size_t n_links = 0, n_leaves = 0;
  for (const auto& [key, kids] : roots_) {
    if (kids.empty()) return "an empty root";
    n_links += kids.size();
  }
  for (size_t p = 0; p < nodes_.size(); ++p) {
    const Node& n = nodes_[p];
    if (!n.cached) {
      if (!n.children.empty() || n.snapshot >= 0) return fmt::format("page {} is no node but has parts", p);
      continue;
    }
    n_links += n.children.size();
    const Children* kids = children(n.key, n.parent);
    const auto it = kids == nullptr ? Children::const_iterator{} : kids->find(n.ids);
    if (kids == nullptr || it == kids->end() || it->second != static_cast<int32_t>(p))
      return fmt::format("page {} is not under its parent", p);
    if (n.parent >= 0 && node(n.parent).refs < n.refs) return fmt::format("page {}: more refs than above", p);
    if (n.refs > 0 || !n.children.empty()) continue;
    ++n_leaves;
    if (!evictable_.contains({n.last_use, static_cast<int32_t>(p)}))
      return fmt::format("page {} cannot be evicted", p);
  }
  if (n_links != static_cast<size_t>(n_cached_)) return "nodes and links differ in number";
  if (n_leaves != evictable_.size()) return "pages that must not be evicted";
  return {};
}

std::string KvManager::check_slots() const {
  std::vector<int> uses(static_cast<size_t>(options_.n_slots), 0);
  for (const int32_t s : free_slots_) ++uses[static_cast<size_t>(s)];
  for (const auto& [id, s] : seqs_) {
    if ((s.slot >= 0) != (options_.n_slots > 0)) return fmt::format("sequence {} and its slot", id);
    if (s.slot >= 0) ++uses[static_cast<size_t>(s.slot)];
  }
  size_t n_snapshots = 0;
  for (size_t p = 0; p < nodes_.size(); ++p) {
    if (nodes_[p].snapshot < 0) continue;
    ++n_snapshots;
    ++uses[static_cast<size_t>(nodes_[p].snapshot)];
    if (!snapshots_.contains({nodes_[p].snapshot_use, static_cast<int32_t>(p)}))
      return fmt::format("the snapshot of page {} is not listed", p);
  }
  if (n_snapshots != snapshots_.size()) return "listed snapshots that are none";
  for (size_t s = 0; s < uses.size(); ++s)
    if (uses[s] != 1) return fmt::format("slot {} is used {} times", s, uses[s]);
  return {};
}

}  // namespace qw
