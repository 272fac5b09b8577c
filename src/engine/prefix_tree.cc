// The prefix tree of KvManager: finding, publishing and evicting nodes, and their snapshots.
#include <algorithm>

#include "base/check.h"
#include "engine/kv_manager.h"

namespace qw {
namespace {

uint64_t mix(uint64_t h, uint64_t x) {
  h = (h ^ (x + 0x9E3779B97F4A7C15U)) * 0xBF58476D1CE4E5B9U;
  return h ^ (h >> 31);
}

uint64_t hash_of(const PrefixKey& key) {
  return mix(mix(1, key.tenant), key.adapter);
}

uint64_t hash_on(uint64_t h, std::span<const int32_t> ids) {
  for (const int32_t id : ids) h = mix(h, static_cast<uint64_t>(id));
  return h;
}

int common(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t n = std::min(a.size(), b.size());
  return static_cast<int>(std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(n), b.begin()).first -
                          a.begin());
}

}  // namespace

const KvManager::Children* KvManager::children(const PrefixKey& key, int32_t parent) const {
  if (parent >= 0) return &node(parent).children;
  const auto it = roots_.find(key);
  return it == roots_.end() ? nullptr : &it->second;
}

// Where the first page of `s` that it owns belongs.
KvManager::Children& KvManager::children_of(const Seq& s) {
  return s.n_shared == 0 ? roots_[s.key] : node(s.pages[static_cast<size_t>(s.n_shared) - 1]).children;
}

// The deepest snapshot of a node within its first `most` tokens, or −1.
int32_t KvManager::last_snapshot(int32_t page, int most) const {
  const std::vector<int32_t>& slots = node(page).snapshots;
  for (auto it = slots.rbegin(); it != slots.rend(); ++it)
    if (snapshot(*it).offset <= most) return *it;
  return -1;
}

KvManager::Match KvManager::match(const PrefixKey& key, Run tokens) const {
  Match m;
  if (!options_.prefix_cache || tokens.size() < 2) return m;
  std::vector<int32_t> path;
  Run rest = tokens.first(tokens.size() - 1);
  auto use = [&](int32_t slot) {  // the best so far is this snapshot of the last page of the path
    const int offset = snapshot(slot).offset;
    m.slot = slot;
    m.path = path;
    m.n_tail = offset == kPageTokens ? 0 : offset;
    m.tail = m.n_tail > 0 ? path.back() : -1;
    if (m.n_tail > 0) m.path.pop_back();
  };
  const Children* kids = children(key, -1);
  while (kids != nullptr && rest.size() >= kPageTokens) {
    const auto it = kids->find(rest.first(kPageTokens));
    if (it == kids->end() || node(it->second).suspect) break;
    path.push_back(it->second);
    if (const int32_t slot = last_snapshot(it->second, kPageTokens); slot >= 0) use(slot);
    rest = rest.subspan(kPageTokens);
    kids = &node(it->second).children;
  }
  m.known = static_cast<int>(path.size()) * kPageTokens;
  Match deeper;
  if (kids != nullptr) match_tail(*kids, rest.first(std::min<size_t>(rest.size(), kPageTokens)), deeper);
  m.known += deeper.known;
  m.other = deeper.other;
  if (recurrent() && deeper.tail < 0) return m;
  m.path = std::move(path);
  m.tail = deeper.tail;
  m.n_tail = deeper.n_tail;
  m.slot = deeper.slot;
  return m;
}

// The child that begins as `rest` does, for the most tokens (with recurrent layers: up to a snapshot). Keys
// that share more with `rest` lie nearer to it in the order.
void KvManager::match_tail(const Children& kids, Run rest, Match& m) const {
  auto consider = [&](Run ids, int32_t page) {
    const int n = common(ids, rest);
    if (n > m.known || (n == m.known && static_cast<int>(ids.size()) > n)) {
      m.known = n;
      m.other = static_cast<int>(ids.size()) > n && static_cast<int>(rest.size()) > n;
    }
    if (n <= m.n_tail) return false;
    const int32_t slot = recurrent() ? last_snapshot(page, n) : -1;
    const int usable = node(page).suspect ? 0 : !recurrent() ? n : slot >= 0 ? snapshot(slot).offset : 0;
    if (usable > m.n_tail) {
      m.n_tail = usable;
      m.tail = page;
      m.slot = slot;
    }
    return true;
  };
  const auto at = kids.lower_bound(rest);
  for (auto it = at; it != kids.end() && consider(it->first, it->second);) ++it;
  for (auto it = at; it != kids.begin();) {
    --it;
    if (!consider(it->first, it->second)) break;
  }
}

// Makes the first owned page of `s` a full node. Where another sequence was first with the same tokens, `s`
// goes on with that page, whose bits are the same (docs/design.md §3), and its own becomes free.
void KvManager::publish_full(Seq& s, Run ids) {
  int32_t& page = s.pages[static_cast<size_t>(s.n_shared)];
  Children& kids = children_of(s);
  if (const auto twin = kids.find(ids); twin != kids.end()) {
    if (node(page).in_tree) {
      move_snapshots(page, twin->second);
      leave(page);
    }
    free_pages_.push_back(page);
    page = twin->second;
    pin(page);
  } else {
    enter(kids, s, page, ids);
    node(page).written = false;
    ++n_cached_;
    absorb(kids, page);
  }
  ++s.n_shared;
}

// Makes the page that `s` has begun findable with all it holds of `tokens`, at least one token. Answers the
// page that has them in the tree: its own, or one that another sequence has published.
int32_t KvManager::publish_tail(Seq& s, Run tokens) {
  const int32_t page = s.pages[static_cast<size_t>(s.n_shared)];
  const Run rest = tokens.subspan(static_cast<size_t>(s.n_shared) * kPageTokens);
  QW_CHECK(!rest.empty() && rest.size() < kPageTokens, "a tail of {} tokens", rest.size());
  Children& kids = children_of(s);
  auto longer = kids.lower_bound(rest);
  if (longer != kids.end() && longer->second == page) ++longer;
  if (longer != kids.end() && common(longer->first, rest) == static_cast<int>(rest.size())) {
    const int32_t twin = longer->second;
    if (node(page).in_tree) {
      move_snapshots(page, twin);
      leave(page);
    }
    return twin;
  }
  enter(kids, s, page, rest);
  absorb(kids, page);
  return page;
}

// The owned page becomes, or grows to, the node of `ids`.
void KvManager::enter(Children& kids, const Seq& s, int32_t page, Run ids) {
  Node& n = node(page);
  if (n.in_tree) {
    kids.erase(n.run());
  } else {
    n.in_tree = true;
    n.written = true;
    n.key = s.key;
    n.parent = s.n_shared == 0 ? -1 : s.pages[static_cast<size_t>(s.n_shared) - 1];
    n.depth = s.n_shared * kPageTokens;
    n.refs = 1;
  }
  std::copy(ids.begin(), ids.end(), n.ids.begin());
  n.n = static_cast<int>(ids.size());
  n.hash = hash_on(hash_before(n), ids);
  kids.emplace(n.run(), page);
}

// Takes a node without children and snapshots out of the tree; what becomes of its page is the caller's.
void KvManager::leave(int32_t page) {
  Node& n = node(page);
  QW_CHECK(n.in_tree && n.children.empty() && n.snapshots.empty(), "page {} is still in use", page);
  if (n.parent >= 0) {
    node(n.parent).children.erase(n.run());
  } else {
    const auto root = roots_.find(n.key);
    root->second.erase(n.run());
    if (root->second.empty()) roots_.erase(root);
  }
  n = Node{};
}

// Shorter nodes that `page` has swallowed go, their snapshots stay.
void KvManager::absorb(Children& kids, int32_t page) {
  const Run run = node(page).run();
  for (size_t n = run.size() - 1; n > 0; --n) {
    const auto it = kids.find(run.first(n));
    if (it == kids.end() || node(it->second).refs > 0) continue;
    const int32_t old = it->second;
    move_snapshots(old, page);
    evictable_.erase({node(old).last_use, old});
    kids.erase(it);
    node(old) = Node{};
    --n_cached_;
    --n_unpinned_;
    free_pages_.push_back(old);
  }
}

// The page becomes free, and with it the nodes above that are of no use without it.
void KvManager::evict(int32_t page) {
  while (true) {
    Node& n = node(page);
    QW_CHECK(n.refs == 0, "page {} is in use", page);
    const int32_t parent = n.parent;
    evictable_.erase({n.last_use, page});
    while (!n.snapshots.empty()) remove_snapshot(n.snapshots.back());
    leave(page);
    --n_cached_;
    --n_unpinned_;
    free_pages_.push_back(page);
    if (parent < 0 || !idle(parent)) return;
    if (!useless(parent)) {
      evictable_.insert({node(parent).last_use, parent});
      return;
    }
    page = parent;
  }
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
  settle(page);
}

// Nobody uses it and nothing follows.
bool KvManager::idle(int32_t page) const {
  return node(page).refs == 0 && node(page).children.empty();
}

// No sequence may begin on an idle node: its numbers are not trusted, or there is no state to begin with.
bool KvManager::useless(int32_t page) const {
  return node(page).suspect || (recurrent() && node(page).snapshots.empty());
}

void KvManager::settle(int32_t page) {
  if (!idle(page)) return;
  if (useless(page))
    evict(page);
  else
    evictable_.insert({node(page).last_use, page});
}

void KvManager::add_snapshot(int32_t page, int offset, int32_t slot) {
  std::vector<int32_t>& slots = node(page).snapshots;
  if (Node& n = node(page); evictable_.erase({n.last_use, page}) > 0) {
    n.last_use = tick_;
    evictable_.insert({n.last_use, page});
  }
  ++n_stored_;
  const auto at = std::find_if(slots.begin(), slots.end(),
                               [&](int32_t other) { return snapshot(other).offset >= offset; });
  if (at != slots.end() && snapshot(*at).offset == offset) {
    snapshot(*at).stamp = n_stored_;
    free_slots_.push_back(slot);
    return;
  }
  slots.insert(at, slot);
  snapshot(slot) = {page, offset, n_stored_};
  ++n_snapshots_;
}

// The slot becomes free; the node stays.
void KvManager::remove_snapshot(int32_t slot) {
  std::erase(node(snapshot(slot).page).snapshots, slot);
  snapshot(slot) = {};
  free_slots_.push_back(slot);
  --n_snapshots_;
}

void KvManager::move_snapshots(int32_t from, int32_t to) {
  for (const int32_t slot : std::exchange(node(from).snapshots, {})) {
    --n_snapshots_;
    add_snapshot(to, std::exchange(snapshot(slot), {}).offset, slot);
  }
}

// Tokens between a snapshot and the next one above it: what would have to be computed again without it.
int KvManager::distance(int32_t slot) const {
  const Snapshot& s = snapshot(slot);
  const int end = node(s.page).depth + s.offset;
  int32_t above = last_snapshot(s.page, s.offset - 1);
  for (int32_t p = node(s.page).parent; above < 0 && p >= 0; p = node(p).parent)
    above = last_snapshot(p, kPageTokens);
  return above < 0 ? end : end - node(snapshot(above).page).depth - snapshot(above).offset;
}

uint64_t KvManager::hash_before(const Node& n) const {
  return n.parent >= 0 ? node(n.parent).hash : hash_of(n.key);
}

// Of the text up to the first `offset` tokens of a page.
uint64_t KvManager::hash_at(int32_t page, int offset) const {
  return hash_on(hash_before(node(page)), node(page).run().first(static_cast<size_t>(offset)));
}

Reuse KvManager::explain(const PrefixKey& key, Run tokens) const {
  Reuse out;
  if (!options_.prefix_cache) return out;
  const Match m = match(key, tokens);
  const int most = static_cast<int>(tokens.size()) - 1;
  out.tokens = m.n_tokens();
  out.at = out.known = m.known;
  if (out.tokens == most) {
    out.limit = ReuseLimit::none;
    return out;
  }
  uint64_t h = hash_of(key);
  int state = 0, pages = 0;  // the longest that were evicted
  for (int i = 0; i < most && !ghosts_.empty(); ++i) {
    h = mix(h, static_cast<uint64_t>(tokens[static_cast<size_t>(i)]));
    const auto ghost = i < out.tokens ? std::nullopt : ghosts_.find(h);
    if (ghost) (*ghost == Ghosts::Kind::snapshot ? state : pages) = i + 1;
  }
  int elsewhere = 0;  // cached for another adapter of the same tenant
  for (auto it = roots_.lower_bound({key.tenant, 0}); it != roots_.end(); ++it) {
    if (it->first.tenant != key.tenant) break;
    if (it->first.adapter != key.adapter) elsewhere = std::max(elsewhere, match(it->first, tokens).known);
  }
  if (state > out.tokens && state >= pages) {
    out.limit = ReuseLimit::snapshot_evicted;
    out.at = state;
  } else if (pages > m.known) {
    out.limit = ReuseLimit::pages_evicted;
    out.at = pages;
  } else if (elsewhere >= m.known + kPageTokens) {
    out.limit = ReuseLimit::other_adapter;
    out.at = elsewhere;
  } else if (m.known == 0) {
    out.limit = ReuseLimit::nothing_cached;
  } else if (m.other) {
    out.limit = ReuseLimit::differs;
  } else {
    out.limit = m.known > out.tokens ? ReuseLimit::no_snapshot : ReuseLimit::new_text;
  }
  return out;
}

}  // namespace qw
