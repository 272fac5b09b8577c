// Trains a tokenizer of Qwen's kind on files and writes it as a Hugging Face folder has it: byte-level BPE
// with NFC and the pre-tokenizer of Qwen2 and Qwen3; added tokens have the ids behind the BPE vocabulary.
// Spec: tokenizer.json and tokenizer_config.json of Qwen/Qwen3-0.6B. Test:
// tests/train/tokenizer_trainer_test.cc, tests/e2e/train_tokenizer_test.cc
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/bpe_trainer.h"

namespace qw::train {

struct TokenizerOptions {
  int vocab = 0;                       // tokens in all, the added ones included
  std::vector<std::string> special{};  // besides <|endoftext|>, <|im_start|>, <|im_end|>
  bool tags = false;      // Qwen3's <tool_call> … </think> as added tokens that are not special
  int64_t min_count = 2;  // a pair of tokens that is rarer is not merged
  int threads = 1;
  enum class Stage { count, merge };
  // From any thread. Counting is in bytes, merging in tokens.
  std::function<void(Stage stage, int64_t done, int64_t total)> progress{};
};

struct TrainedTokenizer {
  TrainedBpe bpe;
  std::vector<std::string> special;  // in the order of ids, which follow bpe.tokens
  std::vector<std::string> tags;     // behind those
  int64_t n_bytes = 0;               // of the words that were counted, each as often as it occurs
  int64_t n_words = 0;               // different ones

  int vocab() const { return static_cast<int>(bpe.tokens.size() + special.size() + tags.size()); }
};

// Errors: tokenizer.bad_special (args token), tokenizer.vocab_too_small (vocab, least), tokenizer.no_text;
// those of TokenizerCorpus::add_file and train_bpe.
Result<TrainedTokenizer> train_tokenizer(const std::vector<std::filesystem::path>& files,
                                         const TokenizerOptions& options);

// Writes tokenizer.json and tokenizer_config.json into `folder`, which is made where it is missing. An empty
// `chat_template` leaves it out. Errors: file.write (args file, reason).
Status save_tokenizer(const TrainedTokenizer& tokenizer, const std::string& chat_template,
                      const std::filesystem::path& folder);

}  // namespace qw::train
