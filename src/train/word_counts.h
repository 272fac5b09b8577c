// How often each word occurs: an open-addressing table over an arena, since a corpus has millions of words.
// Test: tests/train/tokenizer_trainer_test.cc
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace qw::train {

class WordCounts {
 public:
  struct Entry {
    std::string_view word;  // lives as long as the table
    int64_t count;
    uint64_t hash;
  };

  void add(std::string_view word, int64_t count = 1);
  void add_all(const WordCounts& other);
  // In the order in which the words were first added.
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  void grow();
  std::string_view keep(std::string_view word);

  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // index into entries_ + 1, 0 for none
  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t block_used_ = 0, block_size_ = 0;
};

}  // namespace qw::train
