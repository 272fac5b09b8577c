#include "text/added_tokens.h"

#include <algorithm>
#include <cstring>

#include "text/unicode.h"
#include "text/utf8.h"

namespace qw::text {
namespace {

// The character that ends at `end`; its first byte is found going back over continuation bytes.
const char* char_before(const char* begin, const char* end) {
  const char* p = end - 1;
  while (p > begin && (static_cast<unsigned char>(*p) & 0xC0) == 0x80) --p;
  return p;
}

uint8_t class_at(const char* p) {
  return char_class(utf8_next(p));
}

}  // namespace

TokenFinder::TokenFinder(const std::vector<std::pair<std::string, const AddedToken*>>& tokens) {
  nodes_.emplace_back();
  for (const auto& [pattern, token] : tokens) {
    if (pattern.empty()) continue;
    uint32_t node = 0;
    for (const char c : pattern) {
      const auto byte = static_cast<unsigned char>(c);
      auto& next = nodes_[node].next;
      const auto it =
          std::find_if(next.begin(), next.end(), [&](const auto& edge) { return edge.first == byte; });
      if (it != next.end()) {
        node = it->second;
        continue;
      }
      const auto made = static_cast<uint32_t>(nodes_.size());
      next.emplace_back(byte, made);
      nodes_.emplace_back();
      node = made;
    }
    nodes_[node].token = static_cast<int32_t>(flags_.size());
    flags_.push_back({token->id, token->special, token->lstrip, token->rstrip, token->single_word});
  }
  for (const auto& [byte, node] : nodes_[0].next) first_[byte] = node;
  if (nodes_[0].next.size() == 1) only_first_ = nodes_[0].next[0].first;
}

TokenFinder::Match TokenFinder::find(std::string_view text, size_t from) const {
  if (empty()) return {};
  for (size_t i = from; i < text.size(); ++i) {
    if (only_first_ >= 0) {
      const void* hit = std::memchr(text.data() + i, only_first_, text.size() - i);
      if (hit == nullptr) return {};
      i = static_cast<size_t>(static_cast<const char*>(hit) - text.data());
    }
    Match best;
    uint32_t node = first_[static_cast<unsigned char>(text[i])];
    for (size_t end = i + 1; node != 0; ++end) {
      if (nodes_[node].token >= 0) best = {i, end, &flags_[static_cast<size_t>(nodes_[node].token)]};
      if (end == text.size()) break;
      const auto byte = static_cast<unsigned char>(text[end]);
      const auto& next = nodes_[node].next;
      const auto it =
          std::find_if(next.begin(), next.end(), [&](const auto& edge) { return edge.first == byte; });
      node = it == next.end() ? 0 : it->second;
    }
    if (best.token != nullptr) return best;
  }
  return {};
}

bool TokenFinder::allowed(std::string_view text, const Match& match) {
  if (!match.token->single_word) return true;
  const char* begin = text.data();
  const bool word_before =
      match.begin > 0 && (class_at(char_before(begin, begin + match.begin)) & kWord) != 0;
  const bool word_behind = match.end < text.size() && (class_at(begin + match.end) & kWord) != 0;
  return !word_before && !word_behind;
}

void TokenFinder::strip(std::string_view text, size_t done, Match& match) {
  const char* begin = text.data();
  if (match.token->lstrip) {
    size_t at = match.begin;
    while (at > 0) {
      const char* p = char_before(begin, begin + at);
      if ((class_at(p) & kSpace) == 0) break;
      at = static_cast<size_t>(p - begin);
    }
    match.begin = std::max(at, done);
  }
  if (match.token->rstrip) {
    const char* p = begin + match.end;
    const char* end = begin + text.size();
    while (p < end && (class_at(p) & kSpace) != 0) utf8_next(p);
    match.end = static_cast<size_t>(p - begin);
  }
}

}  // namespace qw::text
