#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <queue>

#include "text/byte_alphabet.h"

namespace qw::text {
namespace {

__extension__ using uint128 = unsigned __int128;

uint64_t fold(uint64_t a, uint64_t b) {
  const uint128 product = uint128{a} * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t load(const char* p, size_t n) {
  uint64_t v = 0;
  std::memcpy(&v, p, n);
  return v;
}

constexpr uint64_t kMul1 =
    0x9E3779B97F4A7C15u;  // fractional bits of the golden ratio, of sqrt 2 and of sqrt 3: only "random"
constexpr uint64_t kMul2 = 0x6A09E667F3BCC909u;
constexpr uint64_t kMul3 = 0xBB67AE8584CAA73Bu;

uint64_t hash_bytes(std::string_view s) {
  const char* p = s.data();
  size_t n = s.size();
  uint64_t h = n * kMul1;
  while (n > 16) {
    h = fold(h ^ load(p, 8) ^ kMul2, load(p + 8, 8) ^ kMul3);
    p += 16;
    n -= 16;
  }
  uint64_t a = 0;
  uint64_t b = 0;
  if (n >= 8) {
    a = load(p, 8);
    b = load(p + n - 8, 8);
  } else if (n >= 4) {
    a = load(p, 4);
    b = load(p + n - 4, 4);
  } else if (n > 0) {
    a = static_cast<unsigned char>(p[0]) | uint64_t{static_cast<unsigned char>(p[n / 2])} << 8 |
        uint64_t{static_cast<unsigned char>(p[n - 1])} << 16;
  }
  return fold(h ^ a ^ kMul2, b ^ kMul1);
}

// memcmp for short strings, without the call.
bool equal_bytes(const char* a, const char* b, size_t n) {
  if (n >= 8) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
      if (load(a + i, 8) != load(b + i, 8)) return false;
    }
    return load(a + n - 8, 8) == load(b + n - 8, 8);
  }
  if (n >= 4) return load(a, 4) == load(b, 4) && load(a + n - 4, 4) == load(b + n - 4, 4);
  return n == 0 || (a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1]);
}

uint64_t hash_pair(int32_t left, int32_t right) {
  return fold(uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right), kMul1);
}

// Sparse, where look-ups mostly fail (merges); fuller, where a tag tells a miss at once (vocabulary).
size_t table_size(size_t n) {
  return std::bit_ceil(n * 2 + 16);
}
size_t tagged_table_size(size_t n) {
  return std::bit_ceil(n * 4 / 3 + 16);
}

constexpr size_t kShortWord = 48;  // above, the heap is faster than the scan
constexpr uint32_t kNoRank = UINT32_MAX;

}  // namespace

Bpe::Cache::Cache(size_t text_bytes)
    : entries_(std::clamp<size_t>(std::bit_ceil(text_bytes / 64 + 1), 16, 8192)) {}

Result<Bpe> Bpe::build(const BpeSpec& spec) {
  Bpe bpe;
  bpe.ignore_merges_ = spec.ignore_merges;
  bpe.fuse_unk_ = spec.fuse_unk;
  QW_TRY(bpe.add_tokens(spec));
  QW_TRY(bpe.add_bytes(spec));
  QW_TRY(bpe.add_merges(spec));
  return bpe;
}

Status Bpe::add_tokens(const BpeSpec& spec) {
  size_t n_bytes = 0;
  int32_t end = 0;
  for (const BpeSpec::Entry& e : spec.vocab) {
    n_bytes += e.spelling.size();
    if (e.id < 0 || e.id > kMaxTokenId || n_bytes > UINT32_MAX) {
      return fail("text.bad_id", {{"file", spec.source}, {"token", e.spelling}, {"id", e.id}});
    }
    end = std::max(end, e.id + 1);
  }
  arena_.reserve(n_bytes);
  tokens_.resize(static_cast<size_t>(end));
  vocab_.resize(tagged_table_size(spec.vocab.size()));
  whole_ = std::make_unique<std::atomic<uint8_t>[]>(static_cast<size_t>(end));
  for (const BpeSpec::Entry& e : spec.vocab) QW_TRY(add_token(spec, e));
  std::sort(foreign_.begin(), foreign_.end());
  return {};
}

Status Bpe::add_token(const BpeSpec& spec, const BpeSpec::Entry& entry) {
  Token& token = tokens_[static_cast<size_t>(entry.id)];
  if (token.present)
    return fail("text.bad_id", {{"file", spec.source}, {"token", entry.spelling}, {"id", entry.id}});
  token.present = true;
  ++n_tokens_;
  token.offset = static_cast<uint32_t>(arena_.size());
  token.foreign = !append_bytes_of_spelling(arena_, entry.spelling);
  if (token.foreign) arena_ += entry.spelling;
  token.size = static_cast<uint32_t>(arena_.size() - token.offset);
  const std::string_view content = bytes(entry.id);
  if (token.foreign) {
    foreign_.emplace_back(entry.spelling, entry.id);
    return {};
  }
  max_token_bytes_ = std::max(max_token_bytes_, content.size());
  const uint64_t hash = hash_bytes(content);
  const size_t mask = vocab_.size() - 1;
  size_t i = hash & mask;
  for (; vocab_[i].id >= 0; i = (i + 1) & mask) {
    if (bytes(vocab_[i].id) == content) {
      return fail("text.bad_id", {{"file", spec.source}, {"token", entry.spelling}, {"id", entry.id}});
    }
  }
  vocab_[i] = {static_cast<uint32_t>(hash >> 32), entry.id};
  return {};
}

Status Bpe::add_bytes(const BpeSpec& spec) {
  all_bytes_ = true;
  for (size_t b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(static_cast<unsigned char>(b));
    byte_id_[b] = id_of_bytes({&byte, 1}).value_or(-1);
    all_bytes_ = all_bytes_ && byte_id_[b] >= 0;
  }
  if (all_bytes_) return {};
  if (spec.byte_fallback) {
    return fail("text.unsupported",
                {{"file", spec.source}, {"key", "model.byte_fallback"}, {"value", "true"}});
  }
  if (!spec.unk_token.empty()) {
    const std::optional<int32_t> unk = id_of_spelling(spec.unk_token);
    if (!unk) {
      return fail("text.unsupported",
                  {{"file", spec.source}, {"key", "model.unk_token"}, {"value", spec.unk_token}});
    }
    unk_id_ = *unk;
  }
  return {};
}

// Loading is bound by cache misses: a batch of merges is hashed first, its table slots and tokens are asked
// for, and only then looked at.
Status Bpe::add_merges(const BpeSpec& spec) {
  constexpr size_t kBatch = 32;
  merges_.resize(table_size(spec.merges.size()));
  std::string bytes_of_batch;
  std::array<Part, 2 * kBatch> parts;
  int32_t guess = -1;
  for (size_t first = 0; first < spec.merges.size(); first += kBatch) {
    const size_t n = std::min(kBatch, spec.merges.size() - first);
    bytes_of_batch.clear();
    for (size_t i = 0; i < n; ++i) {
      parts[2 * i] = make_part(spec.merges[first + i].left, bytes_of_batch);
      parts[2 * i + 1] = make_part(spec.merges[first + i].right, bytes_of_batch);
    }
    for (size_t i = 0; i < 2 * n; ++i) {
      const int32_t id = vocab_[parts[i].hash & (vocab_.size() - 1)].id;
      if (id >= 0) __builtin_prefetch(&tokens_[static_cast<size_t>(id)]);
    }
    for (size_t i = 0; i < n; ++i) {
      QW_TRY(guess, add_merge(spec, first + i, &parts[2 * i], bytes_of_batch, guess));
    }
  }
  return {};
}

Bpe::Part Bpe::make_part(std::string_view spelling, std::string& bytes_of_batch) const {
  Part part{.offset = bytes_of_batch.size()};
  part.foreign = !append_bytes_of_spelling(bytes_of_batch, spelling);
  part.size = bytes_of_batch.size() - part.offset;
  part.hash = hash_bytes(std::string_view(bytes_of_batch).substr(part.offset));
  __builtin_prefetch(&vocab_[part.hash & (vocab_.size() - 1)]);
  return part;
}

// Gives back the id of the merged token. `guess` is that of the merge before: vocabularies mostly number them
// in order.
Result<int32_t> Bpe::add_merge(const BpeSpec& spec, size_t index, const Part* parts,
                               std::string_view bytes_of_batch, int32_t guess) {
  const auto& [left, right] = spec.merges[index];
  const auto unknown = [&](const std::string& token) {
    return fail("text.merge_unknown", {{"file", spec.source}, {"index", index}, {"token", token}});
  };
  if (parts[0].foreign || parts[1].foreign) {  // its parts never occur in a word
    for (const std::string& token :
         {std::string(left), std::string(right), std::string(left).append(right)}) {
      if (!id_of_spelling(token)) return unknown(token);
    }
    return guess;
  }
  const int32_t left_id = find_vocab(bytes_of_batch.substr(parts[0].offset, parts[0].size), parts[0].hash);
  if (left_id < 0) return unknown(std::string(left));
  const int32_t right_id = find_vocab(bytes_of_batch.substr(parts[1].offset, parts[1].size), parts[1].hash);
  if (right_id < 0) return unknown(std::string(right));
  const std::string_view joined = bytes_of_batch.substr(parts[0].offset, parts[0].size + parts[1].size);
  int32_t result = guess + 1;
  if (!has(result) || tokens_[static_cast<size_t>(result)].foreign || bytes(result) != joined) {
    result = find_vocab(joined, hash_bytes(joined));
  }
  if (result < 0) return unknown(std::string(left).append(right));
  put_merge({left_id, right_id, static_cast<uint32_t>(index), result});
  return result;
}

// Of two merges of one pair the later counts, as in the reference's map.
void Bpe::put_merge(MergeSlot merge) {
  const size_t mask = merges_.size() - 1;
  size_t i = hash_pair(merge.left, merge.right) & mask;
  while (merges_[i].left >= 0 && (merges_[i].left != merge.left || merges_[i].right != merge.right))
    i = (i + 1) & mask;
  merges_[i] = merge;
}

std::string Bpe::spelling(int32_t id) const {
  const std::string_view content = bytes(id);
  return tokens_[static_cast<size_t>(id)].foreign ? std::string(content) : spelling_of_bytes(content);
}

std::vector<std::pair<int32_t, int32_t>> Bpe::merges() const {
  std::vector<MergeSlot> used;
  for (const MergeSlot& m : merges_)
    if (m.left >= 0) used.push_back(m);
  std::sort(used.begin(), used.end(), [](const MergeSlot& a, const MergeSlot& b) { return a.rank < b.rank; });
  std::vector<std::pair<int32_t, int32_t>> out;
  out.reserve(used.size());
  for (const MergeSlot& m : used) out.emplace_back(m.left, m.right);
  return out;
}

const Bpe::MergeSlot* Bpe::find_merge(int32_t left, int32_t right) const {
  const size_t mask = merges_.size() - 1;
  for (size_t i = hash_pair(left, right) & mask; merges_[i].left >= 0; i = (i + 1) & mask) {
    if (merges_[i].left == left && merges_[i].right == right) return &merges_[i];
  }
  return nullptr;
}

int32_t Bpe::find_vocab(std::string_view word, uint64_t hash) const {
  const size_t mask = vocab_.size() - 1;
  const auto tag = static_cast<uint32_t>(hash >> 32);
  for (size_t i = hash & mask; vocab_[i].id >= 0; i = (i + 1) & mask) {
    if (vocab_[i].tag != tag) continue;
    const std::string_view token = bytes(vocab_[i].id);
    if (token.size() == word.size() && equal_bytes(token.data(), word.data(), word.size()))
      return vocab_[i].id;
  }
  return -1;
}

std::optional<int32_t> Bpe::id_of_bytes(std::string_view word) const {
  const int32_t id = find_vocab(word, hash_bytes(word));
  return id >= 0 ? std::optional(id) : std::nullopt;
}

std::optional<int32_t> Bpe::id_of_spelling(std::string_view spelling) const {
  if (const std::optional<std::string> decoded = bytes_of_spelling(spelling)) return id_of_bytes(*decoded);
  const auto less = [](const auto& entry, std::string_view key) { return entry.first < key; };
  const auto it = std::lower_bound(foreign_.begin(), foreign_.end(), spelling, less);
  return it != foreign_.end() && it->first == spelling ? std::optional(it->second) : std::nullopt;
}

std::string_view Bpe::bytes(int32_t id) const {
  if (!has(id)) return {};
  const Token& token = tokens_[static_cast<size_t>(id)];
  return std::string_view(arena_).substr(token.offset, token.size);
}

bool Bpe::has(int32_t id) const {
  return id >= 0 && id < end_id() && tokens_[static_cast<size_t>(id)].present;
}

// Frequent words are found in the cache, one line of memory; then a word may be a token, which takes several.
void Bpe::encode_word(std::string_view word, Cache* cache, std::vector<int32_t>& out) const {
  const uint64_t hash = hash_bytes(word);
  Cache::Entry* entry = nullptr;
  if (cache != nullptr && word.size() <= Cache::kMaxWord) {
    entry = &cache->entries_[(hash >> 20) & (cache->entries_.size() - 1)];
    if (entry->size == word.size() && equal_bytes(entry->word, word.data(), word.size())) {
      if (entry->n_ids == 1) {
        out.push_back(entry->ids[0]);
      } else {
        out.insert(out.end(), entry->ids, entry->ids + entry->n_ids);
      }
      return;
    }
  }
  const size_t before = out.size();
  encode_new_word(word, hash, out);
  const size_t n = out.size() - before;
  if (entry != nullptr && n <= Cache::kMaxIds) {
    entry->size = static_cast<uint8_t>(word.size());
    entry->n_ids = static_cast<uint8_t>(n);
    std::memcpy(entry->word, word.data(), word.size());
    std::copy(out.begin() + static_cast<std::ptrdiff_t>(before), out.end(), entry->ids);
  }
}

void Bpe::encode_new_word(std::string_view word, uint64_t hash, std::vector<int32_t>& out) const {
  const int32_t candidate = word.size() <= max_token_bytes_ ? find_vocab(word, hash) : -1;
  std::atomic<uint8_t>* whole = candidate >= 0 ? &whole_[static_cast<size_t>(candidate)] : nullptr;
  if (whole != nullptr && (ignore_merges_ || whole->load(std::memory_order_relaxed) == kYes)) {
    out.push_back(candidate);
    return;
  }
  const size_t before = out.size();
  merge_word(word, out);
  if (whole != nullptr) {
    const bool same = out.size() == before + 1 && out.back() == candidate;
    whole->store(same ? kYes : kNo, std::memory_order_relaxed);
  }
}

// The symbols before any merge. Bytes without a token become unk_token (one for a run of them with fuse_unk),
// or vanish.
void Bpe::first_symbols(std::string_view word, std::vector<int32_t>& ids) const {
  ids.reserve(ids.size() + word.size());
  bool after_unk = false;
  for (const char c : word) {
    const int32_t id = byte_id_[static_cast<unsigned char>(c)];
    if (id >= 0) {
      ids.push_back(id);
    } else if (unk_id_ >= 0 && !(after_unk && fuse_unk_)) {
      ids.push_back(unk_id_);
    }
    after_unk = id < 0 && unk_id_ >= 0;
  }
}

void Bpe::merge_word(std::string_view word, std::vector<int32_t>& out) const {
  if (word.size() <= kShortWord) {
    merge_short(word, out);
  } else {
    merge_long(word, out);
  }
}

// Looks over all ranks for each merge: quadratic, but in registers and first-level cache.
void Bpe::merge_short(std::string_view word, std::vector<int32_t>& out) const {
  int32_t ids[kShortWord];
  uint32_t ranks[kShortWord];   // of the pair that begins here
  int32_t results[kShortWord];  // what that pair becomes
  size_t n = 0;
  if (all_bytes_) {
    for (const char c : word) ids[n++] = byte_id_[static_cast<unsigned char>(c)];
  } else {
    std::vector<int32_t> first;
    first_symbols(word, first);
    for (const int32_t id : first) ids[n++] = id;
  }
  const auto rank_pair = [&](size_t i) {
    const MergeSlot* merge = find_merge(ids[i], ids[i + 1]);
    ranks[i] = merge != nullptr ? merge->rank : kNoRank;
    results[i] = merge != nullptr ? merge->result : -1;
  };
  for (size_t i = 0; i + 1 < n; ++i) rank_pair(i);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == kNoRank) break;
    ids[best] = results[best];
    --n;
    for (size_t i = best + 1; i < n; ++i) {
      ids[i] = ids[i + 1];
      ranks[i] = ranks[i + 1];
      results[i] = results[i + 1];
    }
    if (best > 0) rank_pair(best - 1);
    if (best + 1 < n) rank_pair(best);
  }
  out.insert(out.end(), ids, ids + n);
}

// A linked list of symbols and a heap of the possible merges; entries that no longer apply are found by their
// rank.
void Bpe::merge_long(std::string_view word, std::vector<int32_t>& out) const {
  std::vector<int32_t> first;
  first_symbols(word, first);
  const auto n = static_cast<int32_t>(first.size());
  std::vector<Symbol> symbols(first.size());
  for (int32_t i = 0; i < n; ++i) {
    symbols[static_cast<size_t>(i)] = {first[static_cast<size_t>(i)], i - 1, i + 1 < n ? i + 1 : -1};
  }
  const auto at = [&](int32_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };
  const auto merge_at = [&](int32_t i) -> const MergeSlot* {
    return at(i).id >= 0 && at(i).next >= 0 ? find_merge(at(i).id, at(at(i).next).id) : nullptr;
  };
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue;  // rank, then position
  const auto push = [&](int32_t i) {
    if (const MergeSlot* merge = merge_at(i))
      queue.push(uint64_t{merge->rank} << 32 | static_cast<uint32_t>(i));
  };
  for (int32_t i = 0; i < n; ++i) push(i);
  while (!queue.empty()) {
    const uint64_t top = queue.top();
    queue.pop();
    const auto i = static_cast<int32_t>(top & 0xFFFFFFFFu);
    const MergeSlot* merge = merge_at(i);
    if (merge == nullptr || merge->rank != top >> 32) continue;
    const int32_t right = at(i).next;
    at(i).id = merge->result;
    at(i).next = at(right).next;
    at(right).id = -1;
    if (at(i).next >= 0) at(at(i).next).previous = i;
    if (at(i).previous >= 0) push(at(i).previous);
    push(i);
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) out.push_back(symbol.id);
  }
}

}  // namespace qw::text
