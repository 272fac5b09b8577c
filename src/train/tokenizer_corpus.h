// The words of text files, as Qwen's tokenizer cuts them: NFC, then its pre-tokenizer; added tokens that the
// text spells out are left out. Large files are cut in parts for the threads where a word certainly ends, so
// the counts do not depend on their number. Test: tests/train/tokenizer_trainer_test.cc
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "text/added_tokens.h"
#include "train/word_counts.h"

namespace qw::train {

class TokenizerCorpus {
 public:
  using Progress = std::function<void(int64_t bytes_done)>;

  // `added` are the tokens that are no words, whether special or not.
  TokenizerCorpus(ThreadPool& pool, const std::vector<std::string>& added, Progress progress);

  // A .jsonl file is one JSON object a line: {"text": …}, or {"messages": [{"role", "content",
  // "reasoning_content", "tool_calls"}], "tools": […]}, of which each text counts, and calls and tools as
  // Qwen's chat template spells them. Any other file is text as a whole. Errors: tokenizer.not_utf8 (args
  // file, line), tokenizer.bad_line (file, line, expected), file.open, file.not_regular.
  Status add_file(const std::filesystem::path& file);

  // The counts of all files so far.
  WordCounts take();

 private:
  struct Failure {
    size_t line = 0;       // within the part, from 1; 0: none
    std::string expected;  // empty: no UTF-8
  };

  Failure add_lines(std::string_view part, WordCounts& counts) const;
  Failure add_text(std::string_view text, WordCounts& counts) const;
  void count(std::string_view valid_utf8, WordCounts& counts) const;

  ThreadPool& pool_;
  Progress progress_;
  text::TokenFinder finder_;
  std::vector<WordCounts> counts_;  // one a thread
  std::atomic<int64_t> bytes_{0};   // of the files, for progress_
};

}  // namespace qw::train
