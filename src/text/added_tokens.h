// Tokens that are found in a text before it is split into words ("<|im_end|>"), with the flags of HF
// `tokenizers` (tokenizer/added_vocabulary). Test: tests/text/tokenizer_test.cc, tests/text/golden_test.cc
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qw::text {

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool special = false;      // not part of the text a person reads
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space behind it
  bool single_word = false;  // not inside a word
  bool normalized = false;   // looked for in the normalised text, in its own normalised form
};

// Finds tokens: leftmost first, of those that begin at one place the longest.
class TokenFinder {
 public:
  // `tokens` are pairs of the pattern to look for and the token; empty patterns match nothing.
  explicit TokenFinder(const std::vector<std::pair<std::string, const AddedToken*>>& tokens);

  bool empty() const { return nodes_.size() == 1; }

  // Calls text_fn(piece) and token_fn(id) in the order of the text (valid UTF-8). Special tokens are not
  // given out unless `parse_special`: they are text then.
  template <class TextFn, class TokenFn>
  void split(std::string_view text, bool parse_special, TextFn&& text_fn, TokenFn&& token_fn) const {
    size_t done = 0;
    for (size_t from = 0; from < text.size();) {
      Match match = find(text, from);
      if (match.token == nullptr) break;
      from = match.end;
      if ((match.token->special && !parse_special) || !allowed(text, match)) continue;
      strip(text, done, match);
      if (done < match.begin) text_fn(text.substr(done, match.begin - done));
      token_fn(match.token->id);
      done = match.end;
    }
    if (done != text.size()) text_fn(text.substr(done));
  }

 private:
  struct Flags {
    int32_t id;
    bool special, lstrip, rstrip, single_word;
  };
  struct Match {
    size_t begin = 0;
    size_t end = 0;
    const Flags* token = nullptr;
  };
  struct Node {
    int32_t token = -1;  // index into flags_
    std::vector<std::pair<unsigned char, uint32_t>> next;
  };

  Match find(std::string_view text, size_t from) const;
  static bool allowed(std::string_view text, const Match& match);
  // Widens the match over white space as its flags say; not before `done`, which an earlier match has taken.
  static void strip(std::string_view text, size_t done, Match& match);

  std::vector<Node> nodes_;
  std::vector<Flags> flags_;
  std::array<uint32_t, 256> first_{};  // node behind the first byte, 0 for none
  int only_first_ = -1;                // the first byte of all tokens, where they share it
};

}  // namespace qw::text
