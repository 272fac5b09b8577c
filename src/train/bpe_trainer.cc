#include "train/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <limits>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "text/byte_alphabet.h"

namespace qw::train {
namespace {

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
constexpr int32_t kDead = -1;  // a place whose token was merged into the one before
constexpr int64_t kReportEvery = 64;

constexpr uint64_t key_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

struct KeyHash {
  size_t operator()(uint64_t key) const {
    key *= 0x9E3779B97F4A7C15ULL;
    return static_cast<size_t>(key ^ key >> 32);
  }
};

// The queue holds counts as they were when a pair was put there; a pair whose count fell meanwhile is put
// back with the new one when it comes up.
struct Candidate {
  int64_t count;
  uint64_t key;
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : key > other.key;
  }
};

class Trainer {
 public:
  explicit Trainer(const BpeTrainOptions& options) : options_(options) {}

  void add_words(const WordCounts& words);
  TrainedBpe run();

 private:
  struct Pair {
    int64_t count = 0;
    uint32_t round = 0;            // of the last addition to `places`
    std::vector<uint32_t> places;  // of the left token, some no longer true
  };

  void add_bytes();
  void count_pairs();
  std::vector<uint32_t> take_places(uint64_t key);
  void merge(uint64_t key);
  void merge_at(uint32_t place, int32_t left, int32_t right, int32_t merged);
  int32_t token_of(const std::string& bytes);
  void appear(int32_t left, int32_t right, uint32_t place, int64_t count);
  void vanish(int32_t left, int32_t right, int64_t count) { pairs_[key_of(left, right)].count -= count; }

  const BpeTrainOptions& options_;
  TrainedBpe out_;
  std::array<int32_t, 256> id_of_byte_{};
  std::unordered_map<std::string, int32_t> id_of_;
  // All words one behind the other, as linked lists of tokens.
  std::vector<int32_t> tokens_;
  std::vector<uint32_t> next_, previous_, word_;
  std::vector<int64_t> word_counts_;
  std::unordered_map<uint64_t, Pair, KeyHash> pairs_;
  std::priority_queue<Candidate> queue_;
  std::unordered_set<uint64_t, KeyHash> merged_;
  uint32_t round_ = 0;
  std::vector<uint64_t> appeared_;  // pairs that got places in this round
};

void Trainer::add_bytes() {
  std::vector<std::pair<std::string, int>> spelled;
  for (int b = 0; b < 256; ++b) {
    const char c = static_cast<char>(static_cast<unsigned char>(b));
    spelled.emplace_back(text::spelling_of_bytes({&c, 1}), b);
  }
  std::sort(spelled.begin(), spelled.end());  // UTF-8 sorts as its code points do
  for (const auto& entry : spelled) {
    const char c = static_cast<char>(static_cast<unsigned char>(entry.second));
    id_of_byte_[static_cast<size_t>(entry.second)] = token_of(std::string(1, c));
  }
}

int32_t Trainer::token_of(const std::string& bytes) {
  const auto [entry, added] = id_of_.try_emplace(bytes, static_cast<int32_t>(out_.tokens.size()));
  if (added) out_.tokens.push_back(bytes);
  return entry->second;
}

void Trainer::add_words(const WordCounts& words) {
  add_bytes();
  size_t total = 0;
  for (const WordCounts::Entry& e : words.entries()) total += e.word.size();
  tokens_.reserve(total);
  next_.reserve(total);
  previous_.reserve(total);
  word_.reserve(total);
  for (const WordCounts::Entry& e : words.entries()) {
    const auto word = static_cast<uint32_t>(word_counts_.size());
    word_counts_.push_back(e.count);
    for (size_t i = 0; i < e.word.size(); ++i) {
      const auto place = static_cast<uint32_t>(tokens_.size());
      tokens_.push_back(id_of_byte_[static_cast<unsigned char>(e.word[i])]);
      previous_.push_back(i == 0 ? kNone : place - 1);
      next_.push_back(i + 1 == e.word.size() ? kNone : place + 1);
      word_.push_back(word);
    }
  }
  count_pairs();
}

// The first count goes through a plain table, as there are only 256 tokens.
void Trainer::count_pairs() {
  std::vector<Pair> table(256 * 256);
  for (uint32_t place = 0; place < tokens_.size(); ++place) {
    if (next_[place] == kNone) continue;
    Pair& pair = table[static_cast<size_t>(tokens_[place] * 256 + tokens_[place + 1])];
    pair.count += word_counts_[word_[place]];
    pair.places.push_back(place);
  }
  for (size_t i = 0; i < table.size(); ++i) {
    if (table[i].count == 0) continue;
    const uint64_t key = key_of(static_cast<int32_t>(i / 256), static_cast<int32_t>(i % 256));
    queue_.push({table[i].count, key});
    pairs_.emplace(key, std::move(table[i]));
  }
}

void Trainer::appear(int32_t left, int32_t right, uint32_t place, int64_t count) {
  const uint64_t key = key_of(left, right);
  Pair& pair = pairs_[key];
  pair.count += count;
  pair.places.push_back(place);
  if (pair.round == round_) return;
  pair.round = round_;
  appeared_.push_back(key);
}

void Trainer::merge_at(uint32_t place, int32_t left, int32_t right, int32_t merged) {
  const uint32_t second = next_[place];
  if (tokens_[place] != left || second == kNone || tokens_[second] != right) return;
  const int64_t count = word_counts_[word_[place]];
  const uint32_t before = previous_[place], after = next_[second];
  if (before != kNone) {
    vanish(tokens_[before], left, count);
    appear(tokens_[before], merged, before, count);
  }
  if (after != kNone) {
    vanish(right, tokens_[after], count);
    appear(merged, tokens_[after], place, count);
    previous_[after] = place;
  }
  tokens_[place] = merged;
  tokens_[second] = kDead;
  next_[place] = after;
}

// In the order of the text, so that of "aaa" the first two are merged.
std::vector<uint32_t> Trainer::take_places(uint64_t key) {
  Pair& pair = pairs_[key];
  std::vector<uint32_t> places = std::move(pair.places);
  pair.places.clear();
  std::sort(places.begin(), places.end());
  return places;
}

void Trainer::merge(uint64_t key) {
  ++round_;
  appeared_.clear();
  const auto left = static_cast<int32_t>(key >> 32), right = static_cast<int32_t>(key & 0xFFFFFFFFU);
  // Two merges may spell the same token; then a pair that was merged may come up again.
  const int32_t merged =
      token_of(out_.tokens[static_cast<size_t>(left)] + out_.tokens[static_cast<size_t>(right)]);
  if (merged_.insert(key).second) out_.merges.emplace_back(left, right);
  for (const uint32_t place : take_places(key)) merge_at(place, left, right, merged);
  pairs_.erase(key);
  for (const uint64_t pair : appeared_) {
    const auto found = pairs_.find(pair);
    if (found != pairs_.end() && found->second.count > 0) queue_.push({found->second.count, pair});
  }
}

TrainedBpe Trainer::run() {
  const auto begin = static_cast<int64_t>(out_.tokens.size());
  while (static_cast<int>(out_.tokens.size()) < options_.vocab && !queue_.empty()) {
    const Candidate top = queue_.top();
    queue_.pop();
    const auto found = pairs_.find(top.key);
    if (found == pairs_.end()) continue;
    if (found->second.count != top.count) {
      if (found->second.count > 0) queue_.push({found->second.count, top.key});
      continue;
    }
    if (top.count < options_.min_count) break;
    merge(top.key);
    const auto done = static_cast<int64_t>(out_.tokens.size()) - begin;
    if (options_.progress && done % kReportEvery == 0) options_.progress(done, options_.vocab - begin);
  }
  for (size_t place = 0; place < tokens_.size(); ++place)
    if (tokens_[place] != kDead) out_.n_tokens += word_counts_[word_[place]];
  return std::move(out_);
}

}  // namespace

Result<TrainedBpe> train_bpe(const WordCounts& words, const BpeTrainOptions& options) {
  uint64_t total = 0;
  for (const WordCounts::Entry& e : words.entries()) total += e.word.size();
  if (total >= kNone) return fail("tokenizer.too_large", {{"bytes", total}});
  Trainer trainer(options);
  trainer.add_words(words);
  return trainer.run();
}

}  // namespace qw::train
