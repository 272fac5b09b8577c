#include "text/unicode.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <span>
#include <vector>

#include "text/utf8.h"

namespace qw::text {
namespace {

#include "text/unicode_tables.inc"

constexpr uint32_t kBlockBits = 7;
constexpr uint32_t kBlockMask = (1u << kBlockBits) - 1;

// Hangul syllables are composed by rule (The Unicode Standard, section 3.12).
constexpr char32_t kHangulBase = 0xAC00;
constexpr char32_t kLeadBase = 0x1100;
constexpr char32_t kVowelBase = 0x1161;
constexpr char32_t kTailBase = 0x11A7;
constexpr char32_t kLeads = 19;
constexpr char32_t kVowels = 21;
constexpr char32_t kTails = 28;
constexpr char32_t kSyllables = kLeads * kVowels * kTails;

// One character of a text under normalisation.
struct Mark {
  char32_t cp;
  uint8_t ccc;
};

bool in_range(char32_t cp, char32_t base, char32_t count) {
  return cp >= base && cp < base + count;
}

// The code points that `cp` decomposes into, fully; empty where it stands for itself. Not for Hangul.
std::span<const uint32_t> decomposition(char32_t cp) {
  size_t low = 0;
  size_t high = std::size(kDecompositions) / 2;
  while (low < high) {
    const size_t mid = (low + high) / 2;
    if (kDecompositions[2 * mid] < cp) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  if (low == std::size(kDecompositions) / 2 || kDecompositions[2 * low] != cp) return {};
  const uint32_t where = kDecompositions[2 * low + 1];
  return {kDecompositionPool + (where >> 3), where & 7u};
}

void push_decomposed(std::vector<Mark>& out, char32_t cp) {
  if (in_range(cp, kHangulBase, kSyllables)) {
    const char32_t i = cp - kHangulBase;
    out.push_back({kLeadBase + i / (kVowels * kTails), 0});
    out.push_back({kVowelBase + i % (kVowels * kTails) / kTails, 0});
    if (i % kTails != 0) out.push_back({kTailBase + i % kTails, 0});
    return;
  }
  const std::span<const uint32_t> parts = decomposition(cp);
  if (parts.empty()) {
    out.push_back({cp, combining_class(cp)});
    return;
  }
  for (const uint32_t part : parts) out.push_back({part, combining_class(part)});
}

// The primary composite of the pair, 0 where there is none.
char32_t composite(char32_t first, char32_t second) {
  if (in_range(first, kLeadBase, kLeads) && in_range(second, kVowelBase, kVowels)) {
    return kHangulBase + ((first - kLeadBase) * kVowels + (second - kVowelBase)) * kTails;
  }
  if (in_range(first, kHangulBase, kSyllables) && (first - kHangulBase) % kTails == 0 &&
      in_range(second, kTailBase + 1, kTails - 1)) {
    return first + (second - kTailBase);
  }
  size_t low = 0;
  size_t high = std::size(kCompositions) / 3;
  while (low < high) {
    const size_t mid = (low + high) / 2;
    const uint32_t* entry = kCompositions + 3 * mid;
    if (entry[0] < first || (entry[0] == first && entry[1] < second)) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  if (low == std::size(kCompositions) / 3) return 0;
  const uint32_t* entry = kCompositions + 3 * low;
  return entry[0] == first && entry[1] == second ? entry[2] : 0;
}

// Canonical ordering: marks between two starters in the order of their classes, equal ones as they came.
void reorder(std::vector<Mark>& text) {
  for (auto begin = text.begin(); begin != text.end();) {
    if (begin->ccc == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, text.end(), [](const Mark& m) { return m.ccc == 0; });
    std::stable_sort(begin, end, [](const Mark& a, const Mark& b) { return a.ccc < b.ccc; });
    begin = end;
  }
}

// Canonical composition (The Unicode Standard, D117), in place.
void compose(std::vector<Mark>& text) {
  size_t out = 0;
  size_t starter = SIZE_MAX;  // index in the output of the last starter
  for (const Mark m : text) {
    if (starter != SIZE_MAX) {
      const bool adjacent = out == starter + 1;
      const bool blocked = !adjacent && text[out - 1].ccc >= m.ccc;
      const char32_t joined = blocked ? 0 : composite(text[starter].cp, m.cp);
      if (joined != 0) {
        text[starter].cp = joined;
        continue;
      }
    }
    if (m.ccc == 0) starter = out;
    text[out++] = m;
  }
  text.resize(out);
}

}  // namespace

uint8_t char_class(char32_t cp) {
  if (cp > 0x10FFFF) return 0;
  return kClassBlocks[size_t{kClassIndex[cp >> kBlockBits]} << kBlockBits | (cp & kBlockMask)];
}

uint8_t combining_class(char32_t cp) {
  if (cp > 0x10FFFF) return 0;
  return kCccBlocks[size_t{kCccIndex[cp >> kBlockBits]} << kBlockBits | (cp & kBlockMask)];
}

// The first character that needs care is U+0300, whose first byte is 0xCC: most text is passed over byte by
// byte.
bool is_nfc_quick(std::string_view valid_utf8) {
  const char* p = valid_utf8.data();
  const char* end = p + valid_utf8.size();
  while (p < end) {
    if (static_cast<unsigned char>(*p) < 0xCC) {
      ++p;
      continue;
    }
    if ((char_class(utf8_next(p)) & kNfcCare) != 0) return false;
  }
  return true;
}

std::string nfc(std::string_view valid_utf8) {
  if (is_nfc_quick(valid_utf8)) return std::string(valid_utf8);
  std::string out;
  out.reserve(valid_utf8.size());
  std::vector<Mark> span;
  const char* p = valid_utf8.data();
  const char* end = p + valid_utf8.size();
  // A character that needs care is normalised together with the untouchable one before it and all careful
  // ones behind it: what lies outside such a span can neither change nor compose with it.
  const char* copied = p;
  const char* previous = p;  // the last character that needs no care
  while (p < end) {
    const char* here = p;
    if ((char_class(utf8_next(p)) & kNfcCare) == 0) {
      previous = here;
      continue;
    }
    out.append(copied, static_cast<size_t>(previous - copied));
    span.clear();
    for (const char* q = previous; q < p;) push_decomposed(span, utf8_next(q));
    while (p < end) {
      const char* next = p;
      const char32_t cp = utf8_next(next);
      if ((char_class(cp) & kNfcCare) == 0) break;
      push_decomposed(span, cp);
      p = next;
    }
    reorder(span);
    compose(span);
    for (const Mark& m : span) utf8_append(out, m.cp);
    copied = p;
    previous = p;
  }
  out.append(copied, static_cast<size_t>(end - copied));
  return out;
}

}  // namespace qw::text
