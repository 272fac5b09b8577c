#include "text/detokenizer.h"

#include <algorithm>

#include "text/utf8.h"

namespace qw {

std::string Detokenizer::push(int32_t id) {
  if (skip_special_ && tokenizer_.is_special(id) && std::find(keep_.begin(), keep_.end(), id) == keep_.end())
    return {};
  pending_ += tokenizer_.token_bytes(id);
  // A sequence that could still become a character can only stand within the last three bytes.
  size_t whole = pending_.size();
  for (size_t back = 1; back <= std::min<size_t>(3, pending_.size()); ++back) {
    const std::string_view tail = std::string_view(pending_).substr(pending_.size() - back);
    const text::Utf8Step step = text::utf8_step(tail);
    if (step.incomplete && static_cast<size_t>(step.length) == back) whole = pending_.size() - back;
  }
  std::string out = text::utf8_lossy(std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  return out;
}

std::string Detokenizer::flush() {
  std::string out = text::utf8_lossy(pending_);
  pending_.clear();
  return out;
}

}  // namespace qw
