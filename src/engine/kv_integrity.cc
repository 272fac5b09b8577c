// KvManager::check_integrity: every invariant of pages, tree and slots, counted from scratch.
#include <fmt/format.h>

#include "engine/kv_manager.h"

namespace qw {

std::string KvManager::check_integrity() const {
  for (const std::string& broken : {check_pages(), check_tree(), check_slots()})
    if (!broken.empty()) return broken;
  return {};
}

std::string KvManager::check_pages() const {
  std::vector<int> uses(nodes_.size(), 0);  // as free, owned or cached: exactly once
  std::vector<int> refs(nodes_.size(), 0), writers(nodes_.size(), 0);
  for (const int32_t p : free_pages_) ++uses[static_cast<size_t>(p)];
  int n_owned = 0;
  for (const auto& [id, s] : seqs_) {
    for (size_t i = 0; i < s.pages.size(); ++i) {
      const auto p = static_cast<size_t>(s.pages[i]);
      if (static_cast<int>(i) >= s.n_shared) {
        ++uses[p];
        ++n_owned;
        if (!nodes_[p].in_tree) continue;
        if (static_cast<int>(i) > s.n_shared) return fmt::format("sequence {}: page {} is ahead", id, p);
        ++writers[p];
      } else if (!nodes_[p].in_tree || !nodes_[p].full()) {
        return fmt::format("sequence {} shares page {}, which is not full", id, p);
      }
      ++refs[p];
      if (nodes_[p].parent != (i == 0 ? -1 : s.pages[i - 1]))
        return fmt::format("sequence {}: page {} does not follow its parent", id, p);
    }
  }
  int n_cached = 0, n_unpinned = 0;
  for (size_t p = 0; p < nodes_.size(); ++p) {
    const Node& n = nodes_[p];
    if (writers[p] != (n.in_tree && n.written ? 1 : 0)) return fmt::format("page {} and its writer", p);
    if (n.in_tree && !n.written) ++uses[p], ++n_cached, n_unpinned += refs[p] == 0 ? 1 : 0;
    if (uses[p] != 1) return fmt::format("page {} is used {} times", p, uses[p]);
    if (n.in_tree && n.refs != refs[p]) return fmt::format("page {}: {} refs, not {}", p, n.refs, refs[p]);
  }
  if (n_cached != n_cached_ || n_unpinned != n_unpinned_) return "counts of cached pages";
  if (free_pages() + n_cached + n_owned != options_.n_pages) return "free + cached + owned is not total";
  return {};
}

std::string KvManager::check_tree() const {
  size_t n_links = 0, n_nodes = 0, n_leaves = 0;
  for (const auto& [key, kids] : roots_) {
    if (kids.empty()) return "an empty root";
    n_links += kids.size();
  }
  for (size_t p = 0; p < nodes_.size(); ++p) {
    const Node& n = nodes_[p];
    if (!n.in_tree && (!n.children.empty() || !n.snapshots.empty() || n.n > 0))
      return fmt::format("page {} is no node but has parts", p);
    if (!n.in_tree) continue;
    ++n_nodes;
    n_links += n.children.size();
    if (std::string broken = check_node(static_cast<int32_t>(p)); !broken.empty()) return broken;
    n_leaves += n.refs == 0 && n.children.empty() ? 1 : 0;
  }
  if (n_links != n_nodes) return "nodes and links differ in number";
  if (n_leaves != evictable_.size()) return "pages that must not be evicted";
  return {};
}

std::string KvManager::check_node(int32_t page) const {
  const Node& n = node(page);
  if (n.n < 1 || n.n > kPageTokens || (n.written && n.full()))
    return fmt::format("page {} has {}", page, n.n);
  if (!n.full() && !n.children.empty()) return fmt::format("page {} is not full but goes on", page);
  const Children* kids = children(n.key, n.parent);
  const auto it = kids == nullptr ? Children::const_iterator{} : kids->find(n.run());
  if (kids == nullptr || it == kids->end() || it->second != page)
    return fmt::format("page {} is not under its parent", page);
  if (n.depth != (n.parent < 0 ? 0 : node(n.parent).depth + kPageTokens) || n.hash != hash_at(page, n.n))
    return fmt::format("page {}: depth and hash", page);
  if (n.parent >= 0 && node(n.parent).refs < n.refs)
    return fmt::format("page {}: more refs than above", page);
  int offset = 0;
  for (const int32_t slot : n.snapshots) {
    const Snapshot& s = snapshot(slot);
    if (s.page != page || s.offset <= offset || s.offset > n.n)
      return fmt::format("page {} and the snapshot in slot {}", page, slot);
    offset = s.offset;
  }
  if (n.refs > 0 || !n.children.empty()) return {};
  if (useless(page)) return fmt::format("page {} is of no use", page);
  if (!evictable_.contains({n.last_use, page})) return fmt::format("page {} cannot be evicted", page);
  return {};
}

std::string KvManager::check_slots() const {
  std::vector<int> uses(snapshots_.size(), 0);
  for (const int32_t s : free_slots_) ++uses[static_cast<size_t>(s)];
  for (const int32_t s : draft_slots_) ++uses[static_cast<size_t>(s)];
  size_t n_draft = draft_slots_.size();
  for (const auto& [id, s] : seqs_) {
    if ((s.slot >= 0) != recurrent()) return fmt::format("sequence {} and its slot", id);
    if (s.slot >= 0) ++uses[static_cast<size_t>(s.slot)];
    if (!s.in_step && !s.saves.empty()) return fmt::format("sequence {} has saves outside a step", id);
    for (const StateSave& save : s.saves) ++uses[static_cast<size_t>(save.slot)];
    for (const int32_t slot : s.rollback) ++uses[static_cast<size_t>(slot)];
    n_draft += s.rollback.size();
    if (!s.in_step && (s.n_drafted > 0 || !s.rollback.empty()))
      return fmt::format("sequence {} has drafts outside a step", id);
  }
  if (n_draft != static_cast<size_t>(options_.n_draft_slots)) return "counts of slots for drafts";
  int n_snapshots = 0, n_listed = 0;
  for (const Node& n : nodes_) n_listed += static_cast<int>(n.snapshots.size());
  for (size_t s = 0; s < uses.size(); ++s) {
    const int32_t page = snapshots_[s].page;
    n_snapshots += page >= 0 ? 1 : 0;
    uses[s] += page >= 0 ? 1 : 0;
    if (uses[s] != 1) return fmt::format("slot {} is used {} times", s, uses[s]);
  }
  if (n_snapshots != n_snapshots_ || n_listed != n_snapshots_) return "counts of snapshots";
  return {};
}

}  // namespace qw
