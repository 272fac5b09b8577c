// Byte-level BPE: the vocabulary, the merges, and the encoding of one word, with the results of HF
// `tokenizers` 0.23 (models/bpe: the merge of lowest rank first, the leftmost where ranks are equal). Test:
// tests/text/bpe_test.cc
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace qw::text {

// What a loader found. The views must live until Bpe::build returns.
struct BpeSpec {
  struct Entry {
    std::string_view spelling;  // in the byte alphabet
    int32_t id;
  };
  struct Merge {
    std::string_view left;
    std::string_view right;
  };
  std::string source;  // file, for errors
  std::vector<Entry> vocab{};
  std::vector<Merge> merges{};
  bool ignore_merges = false;  // a word that is a token is that token, whatever the merges make of it
  bool fuse_unk = false;
  bool byte_fallback = false;
  std::string unk_token{};  // "": bytes without a token are dropped
};

// Ids above this are refused: they would only make the tables large.
inline constexpr int32_t kMaxTokenId = (1 << 21) - 1;

class Bpe {
 public:
  // Errors: text.bad_id (args file, token, id), text.merge_unknown (file, index, token), text.unsupported
  // (file, key, value).
  static Result<Bpe> build(const BpeSpec& spec);

  // Words encoded lately in one call of the tokenizer; owned by the caller, so that Bpe stays free of shared
  // mutable state.
  class Cache;

  // Appends the ids of `word`, the bytes of one piece. `cache` may be null.
  void encode_word(std::string_view word, Cache* cache, std::vector<int32_t>& out) const;

  // The id of a token given by its bytes.
  std::optional<int32_t> id_of_bytes(std::string_view bytes) const;
  // The id of a token given by its spelling.
  std::optional<int32_t> id_of_spelling(std::string_view spelling) const;
  // The text that the id stands for; empty where it has no token.
  std::string_view bytes(int32_t id) const;
  bool has(int32_t id) const;
  int32_t end_id() const { return static_cast<int32_t>(tokens_.size()); }  // one more than the largest id
  size_t n_tokens() const { return n_tokens_; }
  // The token as a vocabulary file spells it; the id must have one.
  std::string spelling(int32_t id) const;
  // The pairs of ids that merge, best first.
  std::vector<std::pair<int32_t, int32_t>> merges() const;
  bool ignores_merges() const { return ignore_merges_; }

 private:
  struct Token {
    uint32_t offset = 0;
    uint32_t size = 0;
    bool present = false;
    bool foreign = false;  // spelled with characters outside the alphabet: no word is ever equal to it
  };
  struct VocabSlot {
    uint32_t tag = 0;  // upper bits of the hash
    int32_t id = -1;
  };
  struct MergeSlot {
    int32_t left = -1;
    int32_t right = -1;
    uint32_t rank = 0;
    int32_t result = -1;
  };
  struct Part {  // one side of a merge while loading
    size_t offset = 0;
    size_t size = 0;
    uint64_t hash = 0;
    bool foreign = false;
  };
  struct Symbol {
    int32_t id;
    int32_t previous;
    int32_t next;
  };
  // Whether merging the bytes of a token gives the token itself; found out when first asked (0: not yet).
  enum Whole : uint8_t { kYes = 1, kNo = 2 };

  Bpe() = default;
  Status add_tokens(const BpeSpec& spec);
  Status add_token(const BpeSpec& spec, const BpeSpec::Entry& entry);
  Status add_merges(const BpeSpec& spec);
  Part make_part(std::string_view spelling, std::string& bytes_of_batch) const;
  Result<int32_t> add_merge(const BpeSpec& spec, size_t index, const Part* parts,
                            std::string_view bytes_of_batch, int32_t guess);
  Status add_bytes(const BpeSpec& spec);
  void put_merge(MergeSlot merge);
  const MergeSlot* find_merge(int32_t left, int32_t right) const;
  int32_t find_vocab(std::string_view bytes, uint64_t hash) const;
  void encode_new_word(std::string_view word, uint64_t hash, std::vector<int32_t>& out) const;
  void first_symbols(std::string_view word, std::vector<int32_t>& ids) const;
  void merge_word(std::string_view word, std::vector<int32_t>& out) const;
  void merge_short(std::string_view word, std::vector<int32_t>& out) const;
  void merge_long(std::string_view word, std::vector<int32_t>& out) const;

  std::string arena_;
  std::vector<Token> tokens_;
  std::vector<VocabSlot> vocab_;   // open addressing, power of two
  std::vector<MergeSlot> merges_;  // open addressing, power of two
  std::array<int32_t, 256> byte_id_{};
  std::unique_ptr<std::atomic<uint8_t>[]>
      whole_;  // Whole of each id: relaxed, since every thread finds the same
  std::vector<std::pair<std::string, int32_t>> foreign_;  // sorted by spelling
  size_t n_tokens_ = 0;
  size_t max_token_bytes_ = 0;
  int32_t unk_id_ = -1;
  bool fuse_unk_ = false;
  bool ignore_merges_ = false;
  bool all_bytes_ = false;  // every byte has a token
};

// A direct-mapped table of short words.
class Bpe::Cache {
 public:
  // For a text of this many bytes.
  explicit Cache(size_t text_bytes);

 private:
  friend class Bpe;
  static constexpr size_t kMaxWord = 22;
  static constexpr size_t kMaxIds = 10;
  struct alignas(64) Entry {
    uint8_t size = 0;
    uint8_t n_ids = 0;
    char word[kMaxWord] = {};
    int32_t ids[kMaxIds] = {};
  };
  std::vector<Entry> entries_;
};

}  // namespace qw::text
