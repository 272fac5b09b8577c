// Training data as token ids: every document of the data files, tokenised once, with a mark at each token
// that is learnt. Test: tests/train/data_test.cc
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/chat_renderer.h"
#include "text/tokenizer.h"
#include "train/config.h"

namespace qw::train {

// One row of a batch: `length` tokens from `begin` of Dataset::ids.
struct Document {
  int64_t begin = 0;
  int32_t length = 0;
};

struct Dataset {
  std::vector<int32_t> ids;
  std::vector<uint8_t> target;  // parallel to ids: 1 where this token is to be predicted from those before it
  std::vector<Document> documents;
  int documents_a_sample = 1;  // dpo: chosen, rejected; they stand side by side

  int64_t n_samples() const { return static_cast<int64_t>(documents.size()) / documents_a_sample; }
  std::span<const Document> sample(int64_t i) const {
    const auto n = static_cast<size_t>(documents_a_sample);
    return std::span(documents).subspan(static_cast<size_t>(i) * n, n);
  }
  int64_t tokens_in_sample(int64_t i) const {
    int64_t n = 0;
    for (const Document& d : sample(i)) n += d.length;
    return n;
  }
  std::span<const int32_t> ids_of(const Document& d) const {
    return std::span(ids).subspan(static_cast<size_t>(d.begin), static_cast<size_t>(d.length));
  }
  std::span<const uint8_t> targets_of(const Document& d) const {
    return std::span(target).subspan(static_cast<size_t>(d.begin), static_cast<size_t>(d.length));
  }
  // Tokens of a document that count: the first has nothing before it.
  int64_t targets_in(const Document& d) const;
  uint64_t digest() const;  // of ids, marks and bounds
};

struct DataParts {
  const Tokenizer& tokenizer;
  const ChatRenderer* renderer = nullptr;  // null: the model has no chat template
  int threads = 1;
  LocalTime now = {};  // what templates take for the time: of the whole run, that it can be resumed
};

struct DataReport {
  int64_t lines = 0;
  int64_t cut = 0;         // documents cut at seq_len (sft, dpo)
  Error first_cut{""};     // train.cut (file, line, tokens, limit)
  std::vector<Error> bad;  // skipped lines, at most kMaxBad of them
  int64_t n_bad = 0;
  static constexpr size_t kMaxBad = 20;
};

// Reads files of the kind that config.task wants. pretrain: .txt is one document a file; .jsonl {"text"}, or
// {"messages"} whose whole text is learnt; a document longer than seq_len is split. sft: {"messages",
// "tools"?}. dpo: {"messages", "chosen", "rejected"}, the last two a text, a message or a list of messages.
// distill: as sft or pretrain, by line. Blank lines are passed over. `progress` (may be null) hears of bytes
// done and all. Errors: of a line, with "FILE:LINE" as arg file, at once with bad_lines = "refuse":
// json.parse, json.too_deep, train.line (expected), train.no_template, train.no_assistant, train.no_target
// (limit), train.prompt_too_long (tokens, limit), those of the template; of all: train.no_data (files),
// train.text_file (file, task), train.no_eos, file.*.
using DataProgress = std::function<void(int64_t done, int64_t total)>;
Result<Dataset> read_dataset(const std::vector<std::string>& files, const TrainConfig& config,
                             const DataParts& parts, DataReport& report, const DataProgress& progress = {});

}  // namespace qw::train
