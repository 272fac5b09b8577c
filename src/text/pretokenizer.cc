#include "text/pretokenizer.h"

#include <array>

#include "text/unicode.h"
#include "text/utf8.h"

namespace qw::text {
namespace {

constexpr uint8_t kLetterOrNumber = kLetter | kNumber;

// Classes of ASCII, so that the common case needs no decoding (unicode_test.cc holds them against the
// tables).
constexpr std::array<uint8_t, 128> make_ascii() {
  std::array<uint8_t, 128> table{};
  for (char32_t c = 0; c < 128; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    table[c] = letter ? kLetter : digit ? kNumber | kNumeric : space ? kSpace : 0;
  }
  for (const char c : std::string_view("!\"#%&'()*,-./:;?@[\\]_{}")) table[static_cast<size_t>(c)] = kPunct;
  return table;
}
constexpr std::array<uint8_t, 128> kAscii = make_ascii();

// A position in a text with the class of the character there; the class is 0 and `length` 0 at the end.
struct Cursor {
  const char* at;
  const char* end;
  uint8_t cls = 0;
  uint8_t length = 0;

  Cursor(const char* begin, const char* stop) : at(begin), end(stop) { look(); }

  bool done() const { return at == end; }
  char byte() const { return *at; }
  bool newline() const { return length == 1 && (*at == '\n' || *at == '\r'); }
  void next() {
    at += length;
    look();
  }
  void skip(uint8_t classes) {
    while ((cls & classes) != 0) next();
  }

 private:
  void look() {
    if (at == end) {
      cls = length = 0;
      return;
    }
    const auto b = static_cast<unsigned char>(*at);
    if (b < 0x80) {
      cls = kAscii[b];
      length = 1;
      return;
    }
    const char* p = at;
    cls = char_class(utf8_next(p));
    length = static_cast<uint8_t>(p - at);
  }
};

// Runs of characters that are none of `classes`.
void skip_others(Cursor& c, uint8_t classes) {
  while (!c.done() && (c.cls & classes) == 0) c.next();
}

// Length of 's|'t|'re|'ve|'m|'ll|'d at the apostrophe `p`, 0 where there is none. Folding case, U+017F (long
// s) is an s, as Unicode's simple folding and the reference's engine have it; no other character folds to
// these letters.
size_t contraction(const char* p, const char* end, bool fold_case) {
  const auto letter = [&](const char* q) -> char {
    if (q >= end) return 0;
    if (fold_case && *q >= 'A' && *q <= 'Z') return static_cast<char>(*q - 'A' + 'a');
    return *q;
  };
  const char a = letter(p + 1);
  const char b = letter(p + 2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  if (fold_case && a == '\xC5' && b == '\xBF') return 3;
  return 0;
}

// \s+(?!\S)|\s+ at the white space `c`: all of it at the end of the text, else all but its last character,
// which the following word may take (one alone is a piece).
const char* white_space(Cursor c) {
  const char* last = c.at;
  const char* begin = c.at;
  while ((c.cls & kSpace) != 0) {
    last = c.at;
    c.next();
  }
  return c.done() || last == begin ? c.at : last;
}

const char* gpt2_end(const char* begin, const char* end) {
  Cursor c(begin, end);
  if (c.byte() == '\'') {
    if (const size_t n = contraction(begin, end, false); n != 0) return begin + n;
  }
  if (c.byte() == ' ') {
    Cursor after = c;
    after.next();
    if (after.done() || (after.cls & kSpace) != 0) return white_space(c);
    c = after;
  }
  if ((c.cls & kLetter) != 0) {
    c.skip(kLetter);
  } else if ((c.cls & kNumber) != 0) {
    c.skip(kNumber);
  } else if ((c.cls & kSpace) != 0) {
    return white_space(c);
  } else {
    skip_others(c, kLetterOrNumber | kSpace);
  }
  return c.at;
}

// \s*[\r\n]+|\s+(?!\S)|\s+ : up to the last newline of the run, if it has one.
const char* newlines_or_space(Cursor c) {
  const Cursor begin = c;
  const char* behind_newline = nullptr;
  while ((c.cls & kSpace) != 0) {
    if (c.newline()) behind_newline = c.at + 1;
    c.next();
  }
  return behind_newline != nullptr ? behind_newline : white_space(begin);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?W+|\p{N}{1,digits}| ?[^\s W
// \p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ where W is \p{L}, or [\p{L}\p{M}] (`word`).
template <uint8_t word, int digits>
const char* modern_end(const char* begin, const char* end) {
  Cursor c(begin, end);
  if (c.byte() == '\'') {
    if (const size_t n = contraction(begin, end, true); n != 0) return begin + n;
  }
  if ((c.cls & word) != 0) {
    c.skip(word);
    return c.at;
  }
  if ((c.cls & kNumber) != 0) {
    for (int i = 0; i < digits && (c.cls & kNumber) != 0; ++i) c.next();
    return c.at;
  }
  Cursor after = c;
  after.next();
  if (!c.newline() && (after.cls & word) != 0) {
    after.skip(word);
    return after.at;
  }
  constexpr uint8_t kNotOther = word | kNumber | kSpace;
  const bool space_before = c.byte() == ' ' && !after.done() && (after.cls & kNotOther) == 0;
  if (!space_before && (c.cls & kSpace) != 0) return newlines_or_space(c);
  if (space_before) c = after;
  skip_others(c, kNotOther);
  while (c.newline()) c.next();
  return c.at;
}

// Runs inside and runs outside of a set of characters.
template <class Inside>
const char* run_end(const char* begin, const char* end, Inside inside) {
  Cursor c(begin, end);
  const bool kind = inside(c);
  while (!c.done() && inside(c) == kind) c.next();
  return c.at;
}

const char* digits_each_end(const char* begin, const char* end) {
  Cursor c(begin, end);
  if ((c.cls & kNumeric) != 0) {
    c.next();
  } else {
    skip_others(c, kNumeric);
  }
  return c.at;
}

bool default_punct(const Cursor& c) {
  if ((c.cls & kPunct) != 0) return true;
  return c.length == 1 && std::string_view("$+<=>^~|").find(c.byte()) != std::string_view::npos;
}

const char* three_digits_end(const char* begin, const char* end) {
  const auto three = [&](const char* p) {
    if (end - p < 3) return false;
    for (int i = 0; i < 3; ++i) {
      if (p[i] < '0' || p[i] > '9') return false;
    }
    return true;
  };
  if (three(begin)) return begin + 3;
  const char* p = begin + 1;
  while (p < end && !three(p)) ++p;
  return p;
}

const char* rule_end(SplitRule rule, const char* begin, const char* end) {
  switch (rule) {
    case SplitRule::whole:
      return end;
    case SplitRule::gpt2:
      return gpt2_end(begin, end);
    case SplitRule::llama3:
      return modern_end<kLetter, 3>(begin, end);
    case SplitRule::qwen2:
      return modern_end<kLetter, 1>(begin, end);
    case SplitRule::qwen35:
      return modern_end<kLetter | kMark, 1>(begin, end);
    case SplitRule::digits_each:
      return digits_each_end(begin, end);
    case SplitRule::digits_runs:
      return run_end(begin, end, [](const Cursor& c) { return (c.cls & kNumeric) != 0; });
    case SplitRule::punct_runs:
      return run_end(begin, end, default_punct);
    case SplitRule::number_runs:
      return run_end(begin, end, [](const Cursor& c) { return (c.cls & kNumber) != 0; });
    case SplitRule::three_digits:
      return three_digits_end(begin, end);
  }
  return end;
}

struct KnownRegex {
  std::string_view regex;
  SplitRule rule;
};

// Sources: GPT-2: openai/gpt-2 encoder.py, and HF tokenizers' ByteLevel. Llama 3: tokenizer.json of
// meta-llama/Meta-Llama-3-8B (the same as tiktoken's cl100k as transformers converts it). Qwen2:
// tokenizer.json of Qwen/Qwen2-7B, Qwen2.5, Qwen3, and transformers' tokenization_qwen2.py. Qwen3.5:
// transformers' tokenization_qwen3_5.py.
constexpr std::array kKnownRegexes = {
    KnownRegex{R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
               SplitRule::gpt2},
    KnownRegex{
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
        SplitRule::llama3},
    KnownRegex{
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
        SplitRule::qwen2},
    KnownRegex{
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
        SplitRule::qwen35},
};

}  // namespace

size_t piece_end(SplitRule rule, std::string_view text, size_t pos) {
  const char* begin = text.data();
  return static_cast<size_t>(rule_end(rule, begin + pos, begin + text.size()) - begin);
}

std::optional<SplitRule> rule_of_regex(std::string_view regex) {
  for (const KnownRegex& known : kKnownRegexes) {
    if (known.regex == regex) return known.rule;
  }
  return std::nullopt;
}

std::string_view regex_of_rule(SplitRule rule) {
  for (const KnownRegex& known : kKnownRegexes) {
    if (known.rule == rule) return known.regex;
  }
  return {};
}

}  // namespace qw::text
