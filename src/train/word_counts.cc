#include "train/word_counts.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace qw::train {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 20;

}  // namespace

void WordCounts::add(std::string_view word, int64_t count) {
  if (entries_.size() * 2 >= slots_.size()) grow();
  const uint64_t hash = std::hash<std::string_view>{}(word);
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  for (; slots_[at] != 0; at = (at + 1) & mask) {
    Entry& entry = entries_[slots_[at] - 1];
    if (entry.hash == hash && entry.word == word) {
      entry.count += count;
      return;
    }
  }
  entries_.push_back({keep(word), count, hash});
  slots_[at] = static_cast<uint32_t>(entries_.size());
}

void WordCounts::add_all(const WordCounts& other) {
  for (const Entry& entry : other.entries_) add(entry.word, entry.count);
}

void WordCounts::grow() {
  slots_.assign(std::max<size_t>(1024, slots_.size() * 2), 0);
  const size_t mask = slots_.size() - 1;
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t at = entries_[i].hash & mask;
    while (slots_[at] != 0) at = (at + 1) & mask;
    slots_[at] = static_cast<uint32_t>(i + 1);
  }
}

std::string_view WordCounts::keep(std::string_view word) {
  if (block_size_ - block_used_ < word.size()) {
    block_size_ = std::max(kBlockBytes, word.size());
    block_used_ = 0;
    blocks_.push_back(std::make_unique<char[]>(block_size_));
  }
  char* place = blocks_.back().get() + block_used_;
  std::memcpy(place, word.data(), word.size());
  block_used_ += word.size();
  return {place, word.size()};
}

}  // namespace qw::train
