// Where states of recurrent layers are worth keeping in a prompt. Test: tests/engine/conversation_test.cc
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace qw {

// Ascending numbers of tokens: before the last token of the prompt (the prompt asked again, and whatever else
// follows it), and behind the ids that end a turn, the last `most` of them (an edited or branched
// conversation begins again there). The newest turn end always: what a template puts behind it, such as an
// opened reasoning tag, the next turn may leave out. Older ones where they are a page apart.
std::vector<int> state_borders(std::span<const int32_t> prompt, std::span<const int32_t> turn_ends, int most);

}  // namespace qw
