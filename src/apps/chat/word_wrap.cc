#include "apps/chat/word_wrap.h"

#include <fmt/format.h>

#include "apps/chat/graphemes.h"

namespace qw::chat {
namespace {

constexpr int kTabCells = 4;

}  // namespace

std::string WordWrap::push(std::string_view text) {
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const Grapheme g = grapheme_at(text, pos);
    const std::string_view cluster = text.substr(pos, g.bytes);
    pos += g.bytes;
    if (cluster == "\n") {
      out += '\n';
      column_ = word_column_ = 0;
      word_.clear();
    } else if (cluster == "\t") {
      add("    ", kTabCells, out);
    } else {
      add(cluster, g.cells, out);
    }
  }
  return out;
}

void WordWrap::add(std::string_view cluster, int cells, std::string& out) {
  const bool space = cluster.front() == ' ';
  const bool breaks = space || cells == 2;  // before it and behind it
  if (column_ + cells > width_) {
    if (!breaks && word_column_ > 0) {
      out += fmt::format("\x1b[{}G\x1b[K\n{}", word_column_ + 1, word_);
      column_ -= word_column_;
    } else {
      out += '\n';
      column_ = 0;
      word_.clear();
    }
    word_column_ = 0;
    if (space) return;
  }
  out += cluster;
  column_ += cells;
  if (breaks) {
    word_.clear();
    word_column_ = column_;
  } else {
    word_ += cluster;
  }
}

}  // namespace qw::chat
