// Sequence: one generation as the scheduler sees it: tokens, how many of them the cache holds, and a state
// machine. Plain host data. Test: tests/engine/scheduler_test.cc
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "engine/reuse.h"

namespace qw {

using SeqId = uint64_t;  // ascending in the order of arrival

// Sequences share cached prefixes only where all of this is equal: another tenant's prompts cannot be probed
// through timing, another adapter's keys and values are other numbers, and so are those of another class of
// prompt lengths (Model::prompt_class).
struct PrefixKey {
  uint64_t tenant = 0;
  uint64_t adapter = 0;
  uint64_t prompt_class = 0;
  friend auto operator<=>(const PrefixKey&, const PrefixKey&) = default;
};

// waiting → running ⇄ preempted; every state → finished.
enum class SeqState : uint8_t { waiting, running, preempted, finished };

struct Sequence {
  SeqId id = 0;
  PrefixKey key;
  std::vector<int32_t> tokens;  // prompt, then answer
  std::vector<int32_t> draft;   // a guess at what follows them, to be verified in the next step
  int n_prompt = 0;
  std::vector<int> borders;  // ascending: how many tokens are before each place where states are kept
  int n_computed = 0;        // tokens whose keys, values and states the cache holds
  int n_cached = 0;          // of the prompt, found in the prefix tree at the first admission
  Reuse reuse;               // what the cache gave then, and why not more
  int n_admissions = 0;      // more than one: it was preempted
  SeqState state = SeqState::waiting;

  int n_tokens() const { return static_cast<int>(tokens.size()); }
  // Tokens that a forward pass must still see before the next one can be sampled; 1 while decoding.
  int pending() const { return n_tokens() - n_computed; }

  void move_to(SeqState next) {
    const bool legal = next == SeqState::finished ? state != SeqState::finished
                       : next == SeqState::running
                           ? state == SeqState::waiting || state == SeqState::preempted
                           : next == SeqState::preempted && state == SeqState::running;
    QW_CHECK(legal, "sequence {}: state {} after {}", id, static_cast<int>(next), static_cast<int>(state));
    state = next;
  }
};

}  // namespace qw
