#include "apps/chat/graphemes.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "text/utf8.h"

namespace qw::chat {
namespace {

enum class Break : uint8_t {
  other,
  cr,
  lf,
  control,
  extend,
  zwj,
  prepend,
  regional,
  spacing,
  l,
  v,
  t,
  lv,
  lvt,
  pictographic
};
struct BreakRange {
  uint32_t first, last;
  Break value;
};
struct WidthRange {
  uint32_t first, last;
  int value;
};

#include "apps/chat/terminal_tables.inc"

constexpr char32_t kHangulFirst = 0xAC00, kHangulLast = 0xD7A3, kHangulTails = 28;
constexpr char32_t kEmojiVariation = 0xFE0F, kSkinFirst = 0x1F3FB, kSkinLast = 0x1F3FF;

// The range that holds cp, or null.
template <class Range, size_t N>
const Range* find_range(const Range (&table)[N], char32_t cp) {
  const Range* r =
      std::upper_bound(table, table + N, cp, [](char32_t c, const Range& range) { return c < range.first; });
  return r != table && cp <= std::prev(r)->last ? std::prev(r) : nullptr;
}

Break break_of(char32_t cp) {
  if (cp >= 0x20 && cp < 0x7F) return Break::other;
  if (cp >= kHangulFirst && cp <= kHangulLast)
    return (cp - kHangulFirst) % kHangulTails == 0 ? Break::lv : Break::lvt;
  const BreakRange* r = find_range(kBreakRanges, cp);
  return r != nullptr ? r->value : Break::other;
}

int width_of(char32_t cp) {
  if (cp >= 0x20 && cp < 0x7F) return 1;
  const WidthRange* r = find_range(kWidthRanges, cp);
  return r != nullptr ? r->value : 1;
}

bool is_control(Break b) {
  return b == Break::cr || b == Break::lf || b == Break::control;
}

// GB6 to GB8.
bool joins_hangul(Break a, Break b) {
  if (a == Break::l) return b == Break::l || b == Break::v || b == Break::lv || b == Break::lvt;
  if (a == Break::lv || a == Break::v) return b == Break::v || b == Break::t;
  return (a == Break::lvt || a == Break::t) && b == Break::t;
}

// What the rules need to know of the code points of a cluster so far.
struct ClusterState {
  Break last = Break::other;
  bool pictographic = false;  // pictographic extend*: GB11 joins after a ZWJ
  bool before_zwj = false;    // that pattern stood before the last code point, a ZWJ
  bool odd_regional = false;  // an odd number of regional indicators: GB12, GB13

  explicit ClusterState(Break first)
      : last(first), pictographic(first == Break::pictographic), odd_regional(first == Break::regional) {}

  bool joins(Break next) const {
    if (last == Break::cr) return next == Break::lf;
    if (is_control(last) || is_control(next)) return false;
    if (joins_hangul(last, next)) return true;
    if (next == Break::extend || next == Break::zwj || next == Break::spacing) return true;
    if (last == Break::prepend) return true;
    if (next == Break::pictographic) return last == Break::zwj && before_zwj;
    return next == Break::regional && last == Break::regional && odd_regional;
  }
  void add(Break next) {
    before_zwj = next == Break::zwj && pictographic;
    pictographic = next == Break::pictographic || (pictographic && next == Break::extend);
    odd_regional = next == Break::regional && !odd_regional;
    last = next;
  }
};

}  // namespace

Grapheme grapheme_at(std::string_view text, size_t pos) {
  const char* p = text.data() + pos;
  const char* const end = text.data() + text.size();
  char32_t cp = text::utf8_next(p);
  ClusterState state(break_of(cp));
  Grapheme g{.cells = width_of(cp)};
  const bool emoji = state.last == Break::pictographic || state.last == Break::regional;
  while (p < end) {
    const char* next = p;
    cp = text::utf8_next(next);
    const Break b = break_of(cp);
    if (!state.joins(b)) break;
    if (cp == kEmojiVariation || (cp >= kSkinFirst && cp <= kSkinLast) || b == Break::pictographic ||
        b == Break::regional) {
      g.cells = 2;
      g.joined = true;
    } else {
      g.cells += width_of(cp);
      g.joined = g.joined || emoji || b == Break::zwj;
    }
    state.add(b);
    p = next;
  }
  g.bytes = static_cast<size_t>(p - text.data()) - pos;
  return g;
}

size_t grapheme_before(std::string_view text, size_t pos) {
  const size_t newline = pos >= 2 ? text.rfind('\n', pos - 2) : text.npos;
  size_t at = newline == text.npos ? 0 : newline + 1;
  while (true) {
    const size_t next = at + grapheme_at(text, at).bytes;
    if (next >= pos) return at;
    at = next;
  }
}

int text_cells(std::string_view text) {
  int cells = 0;
  for (size_t pos = 0; pos < text.size();) {
    const Grapheme g = grapheme_at(text, pos);
    cells += g.cells;
    pos += g.bytes;
  }
  return cells;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const text::Utf8Step step = text::utf8_step(text.substr(pos));
    pos += static_cast<size_t>(step.length);
    if (step.cp == '\r') {
      if (pos < text.size() && text[pos] == '\n') continue;
      out.push_back('\n');
    } else if ((step.cp >= 0x20 && step.cp < 0x7F) || step.cp >= 0xA0 || step.cp == '\n' || step.cp == '\t') {
      text::utf8_append(out, step.cp);
    }
  }
  return out;
}

}  // namespace qw::chat
