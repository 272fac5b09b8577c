// The prompt of a turn from the ids that were computed before. A rendered conversation tokenised anew can
// give other ids than the model generated ("th" "e" for "the"), and with them the cached prefix would be
// lost; so the past keeps its ids as far as the text is the same, and only what follows is tokenised. Test:
// tests/apps/chat_splice_test.cc
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace qw::chat {

struct SplicedPrompt {
  std::vector<int32_t> ids;
  size_t n_kept = 0;  // the first ids, taken from `known`
};

// `known`: ids of an earlier prompt and its answer. The seam lies where tokenising cannot look across: behind
// a special token of the past, or before one that follows it in the text.
SplicedPrompt splice_prompt(const Tokenizer& tokenizer, std::span<const int32_t> known,
                            std::string_view rendered);

}  // namespace qw::chat
