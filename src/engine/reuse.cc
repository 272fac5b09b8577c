#include "engine/reuse.h"

namespace qw {

std::string_view reuse_code(ReuseLimit limit) {
  switch (limit) {
    case ReuseLimit::none:
      return "reuse.all";
    case ReuseLimit::off:
      return "reuse.off";
    case ReuseLimit::nothing_cached:
      return "reuse.nothing_cached";
    case ReuseLimit::new_text:
      return "reuse.new_text";
    case ReuseLimit::differs:
      return "reuse.differs";
    case ReuseLimit::no_snapshot:
      return "reuse.no_snapshot";
    case ReuseLimit::snapshot_evicted:
      return "reuse.snapshot_evicted";
    case ReuseLimit::pages_evicted:
      return "reuse.pages_evicted";
    case ReuseLimit::other_adapter:
      return "reuse.other_adapter";
  }
  return "reuse.off";
}

void Ghosts::add(uint64_t hash, Kind kind) {
  if (const auto [it, is_new] = kinds_.insert_or_assign(hash, kind); !is_new) return;
  order_.push_back(hash);
  if (order_.size() <= kMost) return;
  kinds_.erase(order_.front());
  order_.pop_front();
}

std::optional<Ghosts::Kind> Ghosts::find(uint64_t hash) const {
  const auto it = kinds_.find(hash);
  return it == kinds_.end() ? std::nullopt : std::optional(it->second);
}

}  // namespace qw
