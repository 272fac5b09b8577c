#include "engine/kv_manager.h"

#include <algorithm>

#include "base/check.h"

namespace qw {
namespace {

int blocks_for(int n_tokens) {
  return (n_tokens + kPageTokens - 1) / kPageTokens;
}

}  // namespace

KvManager::KvManager(const KvManagerOptions& options)
    : options_(options),
      nodes_(static_cast<size_t>(options.n_pages)),
      snapshots_(static_cast<size_t>(options.n_slots + options.n_draft_slots)) {
  for (int32_t p = options.n_pages - 1; p >= 0; --p) free_pages_.push_back(p);
  for (int32_t s = options.n_slots - 1; s >= 0; --s) free_slots_.push_back(s);
  for (int32_t s = 0; s < options.n_draft_slots; ++s) draft_slots_.push_back(options.n_slots + s);
}

const KvManager::Seq& KvManager::seq(SeqId id) const {
  const auto it = seqs_.find(id);
  QW_CHECK(it != seqs_.end(), "sequence {} is not open", id);
  return it->second;
}

std::optional<int> KvManager::open(SeqId id, const PrefixKey& key, std::span<const int32_t> tokens,
                                   std::vector<StateOp>& ops) {
  QW_CHECK(!seqs_.contains(id), "sequence {} is open already", id);
  const Match m = match(key, tokens);
  Seq s;
  s.key = key;
  ++tick_;
  for (const int32_t page : m.path) pin(page);
  auto give_up = [&]() -> std::optional<int> {
    for (const int32_t page : m.path) unpin(page);
    return std::nullopt;
  };
  if (m.tail >= 0 && available_pages() == 0) return give_up();  // a copy needs a page
  if (m.tail >= 0) pin(m.tail);
  if (recurrent()) {
    if (m.slot >= 0) snapshot(m.slot).stamp = n_stored_;
    s.slot = take_slot(m.slot);
    if (s.slot < 0) return give_up();  // there is no snapshot either, so nothing was found
    if (m.slot < 0)
      ops.push_back({StateOp::Kind::clear, s.slot, 0});
    else if (m.slot != s.slot)  // equal: the snapshot itself was given up, and its state is where it must be
      ops.push_back({StateOp::Kind::copy, s.slot, m.slot});
  }
  begin_on(s, m, ops);
  seqs_.emplace(id, std::move(s));
  return m.n_tokens();
}

// The pages of what was found. A text that ends where the sequence goes on lends its page if nobody writes
// there; else the sequence gets a copy of the page in which they part.
void KvManager::begin_on(Seq& s, const Match& m, std::vector<StateOp>& ops) {
  s.pages = m.path;
  s.n_shared = static_cast<int>(m.path.size());
  if (m.tail < 0) return;
  Node& n = node(m.tail);
  if (!n.written && !n.full() && n.n == m.n_tail) {
    n.written = true;
    --n_cached_;
    s.pages.push_back(m.tail);
    return;
  }
  s.source = m.tail;
  s.source_hash = n.hash;
  unpin(m.tail);
  const int32_t page = take_page();  // it may be that page itself, evicted
  s.pages.push_back(page);
  if (page != m.tail) ops.push_back({StateOp::Kind::copy_page, page, m.tail});
}

bool KvManager::reserve(SeqId id, int n_tokens) {
  Seq& s = seq(id);
  const int missing = blocks_for(n_tokens) - static_cast<int>(s.pages.size());
  if (missing > available_pages()) return false;
  for (int i = 0; i < missing; ++i) s.pages.push_back(take_page());
  return true;
}

std::vector<StateSave> KvManager::begin_step(SeqId id, std::span<const int> positions) {
  Seq& s = seq(id);
  QW_CHECK(!s.in_step, "sequence {} is in a step already", id);
  s.in_step = true;
  if (!wants_snapshots()) return {};
  for (const int position : positions) {
    const int32_t slot = take_slot(-1);
    if (slot < 0) break;
    s.saves.push_back({position, slot});
  }
  return s.saves;
}

int KvManager::begin_drafts(SeqId id, int n) {
  Seq& s = seq(id);
  QW_CHECK(s.in_step && s.n_drafted == 0 && s.saves.empty(), "sequence {} cannot draft now", id);
  if (recurrent()) n = std::min(n, static_cast<int>(draft_slots_.size()));
  s.n_drafted = n;
  for (int i = 0; i < n && recurrent(); ++i) {
    s.rollback.push_back(draft_slots_.back());
    draft_slots_.pop_back();
  }
  return n;
}

void KvManager::accept(SeqId id, int n) {
  Seq& s = seq(id);
  QW_CHECK(s.in_step && n >= 0 && n <= s.n_drafted, "sequence {}: {} of {} drafted tokens", id, n,
           s.n_drafted);
  if (recurrent() && n < s.n_drafted) std::swap(s.slot, s.rollback[static_cast<size_t>(n)]);
  draft_slots_.insert(draft_slots_.end(), s.rollback.begin(), s.rollback.end());
  s.rollback.clear();
  s.n_drafted = 0;
  s.in_step = false;
}

void KvManager::publish_all(Seq& s, std::span<const int32_t> tokens) {
  const size_t full = tokens.size() / kPageTokens;
  QW_CHECK(full <= s.pages.size(), "{} tokens in {} pages", tokens.size(), s.pages.size());
  for (auto i = static_cast<size_t>(s.n_shared); i < full; ++i)
    publish_full(s, tokens.subspan(i * kPageTokens, kPageTokens));
}

void KvManager::commit(SeqId id, std::span<const int32_t> tokens, int n_prompt) {
  Seq& s = seq(id);
  s.in_step = s.n_drafted > 0;
  const std::vector<StateSave> saves = std::exchange(s.saves, {});
  if (!options_.prefix_cache) return;
  ++tick_;
  publish_all(s, tokens);
  for (const StateSave& save : saves) {
    const int block = (save.n_tokens - 1) / kPageTokens;
    const int32_t page = block < s.n_shared ? s.pages[static_cast<size_t>(block)] : publish_tail(s, tokens);
    add_snapshot(page, save.n_tokens - block * kPageTokens, save.slot);
  }
  const bool prompt_ends = static_cast<int>(tokens.size()) == n_prompt;
  if (prompt_ends && !recurrent() && tokens.size() % kPageTokens > 0) publish_tail(s, tokens);
}

void KvManager::close(SeqId id, std::span<const int32_t> tokens, bool keep_state) {
  Seq& s = seq(id);
  ++tick_;
  keep_state = keep_state && recurrent() && !s.in_step;
  if (options_.prefix_cache && !tokens.empty() && keep_state == recurrent()) {
    publish_all(s, tokens);  // accepted drafts may have filled a page
    const auto rest = static_cast<int>(tokens.size() % kPageTokens);
    const int32_t page = rest > 0 ? publish_tail(s, tokens) : s.pages[static_cast<size_t>(s.n_shared) - 1];
    if (keep_state) add_snapshot(page, rest > 0 ? rest : kPageTokens, std::exchange(s.slot, -1));
  }
  release(s);
  seqs_.erase(id);
}

void KvManager::discard(SeqId id) {
  Seq s = seq(id);
  ++tick_;
  if (s.n_shared < static_cast<int>(s.pages.size())) {
    const int32_t tail = s.pages[static_cast<size_t>(s.n_shared)];
    while (!node(tail).snapshots.empty()) remove_snapshot(node(tail).snapshots.back());
    if (node(tail).in_tree) leave(tail);
  }
  std::vector<int32_t> touched(s.pages.begin(), s.pages.begin() + s.n_shared);
  if (s.source >= 0 && node(s.source).in_tree && node(s.source).hash == s.source_hash)
    touched.push_back(s.source);
  for (const int32_t page : touched) node(page).suspect = true;
  seqs_.erase(id);
  release(s);
  while (!touched.empty()) {  // the deepest first: those that are not idle yet go when they are
    const int32_t page = touched.back();
    touched.pop_back();
    if (node(page).in_tree && node(page).suspect && idle(page)) evict(page);
  }
}

void KvManager::release(Seq& s) {
  for (const StateSave& save : s.saves) free_slots_.push_back(save.slot);
  draft_slots_.insert(draft_slots_.end(), s.rollback.begin(), s.rollback.end());
  if (s.slot >= 0) free_slots_.push_back(s.slot);
  for (size_t i = s.pages.size(); i-- > 0;) {
    const int32_t page = s.pages[i];
    if (static_cast<int>(i) >= s.n_shared) {
      if (!node(page).in_tree) {
        free_pages_.push_back(page);
        continue;
      }
      node(page).written = false;
      ++n_cached_;
    }
    unpin(page);
  }
}

int KvManager::page_cost(const PrefixKey& key, std::span<const int32_t> tokens, int n_tokens) const {
  int cost = blocks_for(n_tokens);
  for (const int32_t page : match(key, tokens).path)
    if (node(page).refs > 0) --cost;
  return cost;
}

// What a snapshot saves: the tokens to compute again without it, as slots are of equal size. It fades as the
// snapshots are replaced by newer ones: to a quarter when as many were stored as there are slots, so that a
// long conversation that nobody goes on with gives way to short ones that live.
double KvManager::worth(int32_t slot) const {
  const double age = static_cast<double>(n_stored_ - snapshot(slot).stamp) / options_.n_slots;
  return distance(slot) / ((1.0 + age) * (1.0 + age));
}

// A free slot, else that of the snapshot of the least worth, `keep` only where there is no other; −1: none.
int32_t KvManager::take_slot(int32_t keep) {
  if (free_slots_.empty() && n_snapshots_ > 0) {
    int32_t victim = -1;
    double least = 0.0;
    for (int32_t slot = 0; slot < static_cast<int32_t>(snapshots_.size()); ++slot) {
      if (snapshot(slot).page < 0 || (slot == keep && n_snapshots_ > 1)) continue;
      const double w = worth(slot);
      if (victim >= 0 && w >= least) continue;
      victim = slot;
      least = w;
    }
    const int32_t page = snapshot(victim).page;
    ghosts_.add(hash_at(page, snapshot(victim).offset), Ghosts::Kind::snapshot);
    remove_snapshot(victim);
    settle(page);
  }
  if (free_slots_.empty()) return -1;
  const int32_t slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

int32_t KvManager::take_page() {
  if (free_pages_.empty()) {
    QW_CHECK(!evictable_.empty(), "{} unused pages, but no leaf among them", n_unpinned_);
    const int32_t oldest = evictable_.begin()->second;
    ghosts_.add(node(oldest).hash, Ghosts::Kind::pages);
    evict(oldest);
  }
  const int32_t page = free_pages_.back();
  free_pages_.pop_back();
  return page;
}

}  // namespace qw
