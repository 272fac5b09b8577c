// Where states of recurrent layers are worth keeping in a prompt. Test: tests/engine/conversation_test.cc
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace qw {

// Ascending numbers of tokens: behind the ids that end a turn (an edited or branched conversation begins
// again there), the last `most` of them, and before the last token of the prompt (the prompt asked again,
// and whatever else follows it).
std::vector<int> state_borders(std::span<const int32_t> prompt, std::span<const int32_t> turn_ends, int most);

}  // namespace qw
