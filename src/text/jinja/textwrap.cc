#include "text/jinja/textwrap.h"

#include <algorithm>

#include "text/jinja/failure.h"
#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

using Chars = std::u32string;

bool blank(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == ' ';
}
bool word(char32_t c) {
  return c == '_' || has(c, kAlnum);
}
bool letter(char32_t c) {
  return word(c) && !has(c, kDecimal);
}
bool word_or_mark(char32_t c) {
  return word(c) || c == '!' || c == '"' || c == '\'' || c == '&' || c == '.' || c == ',' || c == '?';
}

// The chunks that a line may be broken between: textwrap's wordsep_re, which looks around each place.
class Chunker {
 public:
  Chunker(const Chars& s, bool hyphens) : s_(s), hyphens_(hyphens) {}

  std::vector<Chars> run() {
    std::vector<Chars> out;
    for (size_t i = 0; i < s_.size();) {
      const size_t end = chunk_end(i);
      out.push_back(s_.substr(i, end - i));
      i = end;
    }
    return out;
  }

 private:
  bool is(size_t i, bool (*f)(char32_t)) const { return i < s_.size() && f(s_[i]); }
  bool dash(size_t i) const { return i < s_.size() && s_[i] == '-'; }

  // The end of two or more dashes at i that stand before a word, else 0.
  size_t em_dash(size_t i) const {
    size_t end = i;
    while (dash(end)) ++end;
    return end - i >= 2 && is(end, word) ? end : 0;
  }

  // A hyphen at i behind two letters (or letter, hyphen, word) and before two letters.
  bool breaking_hyphen(size_t i) const {
    if (!dash(i)) return false;
    const bool pair = i >= 2 && letter(s_[i - 1]) && letter(s_[i - 2]);
    const bool again = i >= 3 && word_or_mark(s_[i - 1]) && s_[i - 2] == '-' && letter(s_[i - 3]);
    if (!pair && !again) return false;
    return is(i + 1, letter) && (is(i + 2, letter) || (dash(i + 2) && is(i + 3, letter)));
  }

  size_t chunk_end(size_t i) const {
    if (blank(s_[i])) {
      while (is(i, blank)) ++i;
      return i;
    }
    if (!hyphens_) {
      while (i < s_.size() && !blank(s_[i])) ++i;
      return i;
    }
    if (const size_t end = i > 0 && word_or_mark(s_[i - 1]) ? em_dash(i) : 0; end != 0) return end;
    for (size_t end = i + 1;; ++end) {
      if (breaking_hyphen(end)) return end + 1;
      if (end >= s_.size() || blank(s_[end])) return end;
      if (word_or_mark(s_[end - 1]) && em_dash(end) != 0) return end;
    }
  }

  const Chars& s_;
  bool hyphens_;
};

Chars decode(std::string_view text) {
  Chars out;
  for (size_t i = 0; i < text.size();) out += next_cp(text, i);
  return out;
}

std::string encode(const Chars& s) {
  std::string out;
  for (const char32_t c : s) append_cp(out, c);
  return out;
}

bool all_blank(const Chars& s) {
  return std::all_of(s.begin(), s.end(), [](char32_t c) { return has(c, kSpace); });
}

// Puts as much of a chunk wider than a line into this line as may be; the rest stays in `chunk`.
void take_long_word(Chars& chunk, Chars& line, bool first, const WrapOptions& options) {
  const size_t room = static_cast<size_t>(options.width) - line.size();
  if (!options.break_long_words) {
    if (!first) return;
    line += chunk;
    chunk.clear();
    return;
  }
  size_t end = room;
  if (options.break_on_hyphens && chunk.size() > room && room > 0) {
    const size_t hyphen = chunk.rfind(U'-', room - 1);
    if (hyphen != Chars::npos && hyphen > 0 && chunk.substr(0, hyphen).find_first_not_of(U'-') != Chars::npos)
      end = hyphen + 1;
  }
  line += chunk.substr(0, end);
  chunk.erase(0, end);
}

}  // namespace

std::vector<std::string> wrap_text(std::string_view text, const WrapOptions& options) {
  if (options.width <= 0) value_error("invalid width {} (must be > 0)", options.width);
  const Chars s = decode(text);
  std::vector<Chars> chunks = Chunker(s, options.break_on_hyphens).run();
  const auto width = static_cast<size_t>(options.width);
  std::vector<std::string> lines;
  for (size_t i = 0; i < chunks.size();) {
    Chars line;
    size_t last = 0;  // length of the line before its last chunk
    size_t n = 0;
    if (all_blank(chunks[i]) && !lines.empty()) ++i;
    for (; i < chunks.size() && line.size() + chunks[i].size() <= width; ++i, ++n) {
      last = line.size();
      line += chunks[i];
    }
    if (i < chunks.size() && chunks[i].size() > width) {
      const size_t before = line.size();
      take_long_word(chunks[i], line, n == 0, options);
      if (line.size() > before) last = before, ++n;
      if (chunks[i].empty()) ++i;
    }
    if (n > 0 && all_blank(line.substr(last))) {
      line.resize(last);
      --n;
    }
    if (n > 0) lines.push_back(encode(line));
  }
  return lines;
}

}  // namespace qw::text::jinja
