#include <gtest/gtest.h>

#include "apps/chat/edit_view.h"
#include "apps/chat/graphemes.h"
#include "apps/chat/layout.h"
#include "apps/chat/line_editor.h"
#include "apps/chat/word_wrap.h"
#include "base/rng.h"

namespace qw::chat {
namespace {

// A small terminal: a grid of cells that understands what EditView writes. `joins` false: it gives every code
// point its own cells, as older terminals do.
class Screen {
 public:
  Screen(int columns, int rows, bool joins = true)
      : columns_(columns), joins_(joins), grid_(static_cast<size_t>(rows), blank()) {}

  void write(std::string_view bytes) {
    while (!bytes.empty()) bytes.remove_prefix(bytes[0] == '\x1b' ? sequence(bytes) : plain(bytes));
  }
  // The row's text without the blanks at its end.
  std::string row(size_t i) const {
    std::string out;
    for (const std::string& cell : grid_[i]) out += cell;
    return out.erase(out.find_last_not_of(' ') + 1);
  }
  size_t cursor_row() const { return row_; }
  int cursor_column() const { return column_; }
  int wraps = 0;     // times the terminal wrapped by itself
  int scrolled = 0;  // rows that left at the top

 private:
  std::vector<std::string> blank() const {
    return std::vector<std::string>(static_cast<size_t>(columns_), " ");
  }

  void line_feed() {
    if (row_ + 1 < grid_.size()) {
      ++row_;
      return;
    }
    grid_.erase(grid_.begin());
    grid_.push_back(blank());
    ++scrolled;
  }

  size_t plain(std::string_view bytes) {
    if (bytes[0] == '\r') return column_ = 0, 1;
    if (bytes[0] == '\n') return line_feed(), 1;
    Grapheme g = grapheme_at(bytes, 0);
    if (!joins_ && g.joined) {  // every code point that is not a mark is a cell pair of its own
      g.bytes = 4;
      g.cells = 2;
    }
    if (column_ + g.cells > columns_) {
      ++wraps;
      column_ = 0;
      line_feed();
    }
    if (g.cells == 0) return g.bytes;
    grid_[row_][static_cast<size_t>(column_)] = std::string(bytes.substr(0, g.bytes));
    for (int i = 1; i < g.cells && column_ + i < columns_; ++i)
      grid_[row_][static_cast<size_t>(column_ + i)] = "";
    column_ += g.cells;
    return g.bytes;
  }

  size_t sequence(std::string_view bytes) {
    size_t n = 2;
    while (bytes[n] >= 0x20 && bytes[n] <= 0x3F) ++n;
    const std::string parameters(bytes.substr(2, n - 2));
    const int value = parameters.empty() || parameters[0] == '?' ? 0 : std::stoi(parameters);
    const auto cells = static_cast<std::ptrdiff_t>(column_);
    switch (bytes[n]) {
      case 'A':
        EXPECT_LE(static_cast<size_t>(value), row_);
        row_ -= std::min(row_, static_cast<size_t>(value));
        break;
      case 'C':
        column_ = std::min(columns_ - 1, column_ + value);
        break;
      case 'G':
        column_ = std::min(columns_ - 1, value - 1);
        break;
      case 'K':
        std::fill(grid_[row_].begin() + std::min<std::ptrdiff_t>(cells, columns_), grid_[row_].end(), " ");
        break;
      case 'J':
        std::fill(grid_[row_].begin() + std::min<std::ptrdiff_t>(cells, columns_), grid_[row_].end(), " ");
        for (size_t r = row_ + 1; r < grid_.size(); ++r) grid_[r] = blank();
        break;
      case 'm':
      case 'h':
      case 'l':
        break;
      default:
        ADD_FAILURE() << "sequence " << bytes.substr(1, n);
    }
    return n + 1;
  }

  int columns_;
  bool joins_;
  std::vector<std::vector<std::string>> grid_;
  size_t row_ = 0;
  int column_ = 0;
};

TEST(ChatView, WrapsAndPlacesTheCursor) {
  EditView view({.columns = 13, .rows = 8});  // ten cells of text
  Screen screen(13, 8);
  const std::string text = "0123456789abc\n你好你好你好";
  screen.write(view.draw(text, text.size(), "hint"));
  EXPECT_EQ(screen.row(0), "> 0123456789");
  EXPECT_EQ(screen.row(1), "  abc");
  EXPECT_EQ(screen.row(2), "  你好你好你");
  EXPECT_EQ(screen.row(3), "  好");
  EXPECT_EQ(screen.row(4), "hint");
  EXPECT_EQ(screen.cursor_row(), 3U);
  EXPECT_EQ(screen.cursor_column(), 4);
  screen.write(view.draw("x", 0, ""));
  EXPECT_EQ(screen.row(0), "> x");
  for (size_t i = 1; i < 5; ++i) EXPECT_EQ(screen.row(i), "");
  EXPECT_EQ(screen.cursor_column(), 2);
  screen.write(view.finish("x"));
  EXPECT_EQ(screen.cursor_row(), 1U);
  EXPECT_EQ(screen.cursor_column(), 0);
}

TEST(ChatView, LongerThanTheScreenShowsThePartAroundTheCursor) {
  EditView view({.columns = 20, .rows = 4});
  Screen screen(20, 4);
  const std::string text = "1\n2\n3\n4\n5\n6\n7\n8";
  screen.write(view.draw(text, text.size(), ""));
  EXPECT_EQ(screen.row(0), "  5");
  EXPECT_EQ(screen.row(3), "  8");
  screen.write(view.draw(text, 0, ""));
  EXPECT_EQ(screen.row(0), "> 1");
  EXPECT_EQ(screen.row(3), "  4");
  EXPECT_EQ(screen.scrolled, 0);
}

TEST(ChatView, TerminalsThatSplitEmojiKeepTheColumns) {
  EditView view({.columns = 30, .rows = 4});
  Screen screen(30, 4, /*joins=*/false);
  const std::string text = "👩‍🚀ab";
  screen.write(view.draw(text, text.size(), ""));
  EXPECT_EQ(screen.cursor_column(), 2 + 2 + 2);
  EXPECT_TRUE(screen.row(0).ends_with("ab")) << screen.row(0);
}

TEST(ChatView, ResizeComesBackToTheTop) {
  EditView view({.columns = 40, .rows = 10});
  const std::string text(70, 'x');  // two rows: 37 and 33, with the indent 39 and 35 cells
  view.draw(text, text.size(), "");
  view.set_size({.columns = 20, .rows = 10});  // the terminal makes two rows of each
  const std::string out = view.draw(text, text.size(), "");
  EXPECT_NE(out.find("\r\x1b[3A"), out.npos) << testing::PrintToString(out);
}

TEST(ChatView, StreamedWordsAreNotCut) {
  const std::string text =
      "The quick brown fox jumps over the lazy dog.\n\nAn unbreakablylongwordthatfillsrows "
      "你好你好你好你好你好 end";
  for (size_t cut = 1; cut < 7; ++cut) {
    Screen screen(21, 12);  // twenty cells
    WordWrap wrap;
    wrap.set_columns(21);
    for (size_t pos = 0; pos < text.size();) {
      size_t n = 0;
      for (size_t i = 0; i < cut && pos + n < text.size(); ++i) n += grapheme_at(text, pos + n).bytes;
      std::string out = wrap.push(text.substr(pos, n));
      for (size_t at = 0; (at = out.find('\n', at)) != out.npos; at += 2) out.replace(at, 1, "\r\n");
      screen.write(out);
      pos += n;
    }
    const char* rows[] = {
        "The quick brown fox", "jumps over the lazy", "dog.", "", "An", "unbreakablylongwordt",
        "hatfillsrows 你好你", "好你好你好你好 end"};
    for (size_t r = 0; r < std::size(rows); ++r) EXPECT_EQ(screen.row(r), rows[r]) << cut;
    EXPECT_EQ(screen.wraps, 0);
  }
}

// Whatever is typed, the screen shows the layout's rows, the cursor stands where the layout says, and the
// terminal never wraps by itself.
TEST(ChatView, RandomEditing) {
  const std::string_view pieces[] = {"a",    "word ",  "你",     "👩‍🚀", "e\u0301", "\t",
                                     "\n",   "\x1b[D", "\x1b[A", "\x1b[B",      "\x7f",    "\x17",
                                     "\x01", "\x05",   "\x0b",   "\x19"};
  const Rng rng(5);
  uint64_t draw = 0;
  for (int trial = 0; trial < 60; ++trial) {
    const ScreenSize size{.columns = 6 + static_cast<int>(rng.below(30, draw++)),
                          .rows = 3 + static_cast<int>(rng.below(8, draw++))};
    Screen screen(size.columns, size.rows);
    EditView view(size);
    History history;
    LineEditor editor(history);
    editor.set_width(view.text_width());
    KeyDecoder decoder;
    for (int i = 0; i < 120; ++i) {
      for (const Key& key : decoder.feed(pieces[rng.below(std::size(pieces), draw++)])) editor.key(key);
      screen.write(view.draw(editor.text(), editor.cursor(), ""));
      const Layout layout(editor.text(), view.text_width());
      const Place place = layout.place(editor.cursor());
      ASSERT_EQ(screen.cursor_column(), 2 + place.column);
      ASSERT_EQ(screen.wraps, 0);
      const size_t top = place.row - screen.cursor_row();
      ASSERT_LE(top, place.row);
      for (size_t r = top; r < std::min(layout.rows().size(), top + static_cast<size_t>(size.rows)); ++r) {
        std::string shown =
            (r == 0 ? "> " : "  ") +
            editor.text().substr(layout.rows()[r].begin, layout.rows()[r].end - layout.rows()[r].begin);
        for (size_t tab; (tab = shown.find('\t')) != shown.npos;) shown.replace(tab, 1, "    ");
        shown.erase(shown.find_last_not_of(' ') + 1);
        ASSERT_EQ(screen.row(r - top), shown) << trial << " " << i;
      }
    }
  }
}

}  // namespace
}  // namespace qw::chat
