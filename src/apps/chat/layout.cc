#include "apps/chat/layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/chat/graphemes.h"

namespace qw::chat {
namespace {

constexpr int kTabCells = 4;

Grapheme measure(std::string_view text, size_t pos) {
  Grapheme g = grapheme_at(text, pos);
  if (text[pos] == '\t') g.cells = kTabCells;
  return g;
}

}  // namespace

Layout::Layout(std::string_view text, int width) : text_(text) {
  rows_.push_back({});
  for (size_t pos = 0; pos < text.size();) {
    Row* row = &rows_.back();
    if (text[pos] == '\n') {
      row->end = pos++;
      rows_.push_back({pos, pos, 0});
      continue;
    }
    const Grapheme g = measure(text, pos);
    if (row->cells + g.cells > width && row->cells > 0) {
      row->end = pos;
      rows_.push_back({pos, pos, 0});
      row = &rows_.back();
    }
    row->cells += g.cells;
    pos += g.bytes;
    row->end = pos;
  }
}

Place Layout::place(size_t offset) const {
  const auto after = std::upper_bound(rows_.begin(), rows_.end(), offset,
                                      [](size_t o, const Row& row) { return o < row.begin; });
  const Row& row = *std::prev(after);
  Place place{static_cast<size_t>(std::prev(after) - rows_.begin()), 0};
  for (size_t pos = row.begin; pos < std::min(offset, row.end);) {
    const Grapheme g = measure(text_, pos);
    place.column += g.cells;
    pos += g.bytes;
  }
  return place;
}

size_t Layout::offset(size_t row, int column) const {
  size_t pos = rows_[row].begin;
  for (int at = 0; pos < rows_[row].end;) {
    const Grapheme g = measure(text_, pos);
    if (at + g.cells > column) break;
    at += g.cells;
    // The end of a wrapped row is the start of the next one: stay on this row.
    const bool wraps = row + 1 < rows_.size() && rows_[row + 1].begin == rows_[row].end;
    if (wraps && pos + g.bytes >= rows_[row].end) break;
    pos += g.bytes;
  }
  return pos;
}

std::string Layout::draw(size_t row, int indent) const {
  std::string out;
  int column = indent;
  for (size_t pos = rows_[row].begin; pos < rows_[row].end;) {
    const Grapheme g = measure(text_, pos);
    column += g.cells;
    if (text_[pos] == '\t')
      out.append(static_cast<size_t>(g.cells), ' ');
    else
      out.append(text_.substr(pos, g.bytes));
    if (g.joined) out += fmt::format("\x1b[{}G", column + 1);
    pos += g.bytes;
  }
  return out;
}

}  // namespace qw::chat
