// What a request took from the prefix cache and why it did not take more. Test:
// tests/engine/conversation_test.cc
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace qw {

// Why the rest of a prompt was computed.
enum class ReuseLimit : uint8_t {
  none,              // nothing but its last token was, which there must be to compute logits from
  off,               // there is no prefix cache
  nothing_cached,    // no text of this tenant and adapter begins as the prompt does
  new_text,          // all that was cached is used; from `at` on the prompt goes on anew
  differs,           // what is cached has another token at `at`
  no_snapshot,       // cached up to `at`, but no state of the recurrent layers was kept between
  snapshot_evicted,  // there was a state after `at` tokens; its memory was needed
  pages_evicted,     // there were keys and values up to `at`; their memory was needed
  other_adapter,     // up to `at` it is cached, under another adapter
};

struct Reuse {
  int tokens = 0;  // taken from the cache
  ReuseLimit limit = ReuseLimit::off;
  int at = 0;     // a number of tokens; see ReuseLimit
  int known = 0;  // how far the cache has the text, usable or not
};

// "reuse.differs" …: the row of src/apps/messages/engine.inc, whose arguments are tokens and at.
std::string_view reuse_code(ReuseLimit limit);

// Remembers what was evicted, by hashes of the text up to it; the last few thousand.
class Ghosts {
 public:
  enum class Kind : uint8_t { snapshot, pages };
  void add(uint64_t hash, Kind kind);
  std::optional<Kind> find(uint64_t hash) const;
  bool empty() const { return kinds_.empty(); }

 private:
  static constexpr size_t kMost = 4096;
  std::unordered_map<uint64_t, Kind> kinds_;
  std::deque<uint64_t> order_;
};

}  // namespace qw
