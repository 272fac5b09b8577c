// How a text lies in the rows of a terminal: wrapped at grapheme clusters by their cells. Test:
// tests/apps/chat_view_test.cc
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qw::chat {

// The bytes [begin, end) of the text, without the newline that may end them, and their cells.
struct Row {
  size_t begin = 0;
  size_t end = 0;
  int cells = 0;
};

struct Place {
  size_t row = 0;
  int column = 0;  // cells before it in the row
};

class Layout {
 public:
  // `width` > 0: cells of a row. A cluster wider than that stands alone. The text must outlive the layout.
  Layout(std::string_view text, int width);

  const std::vector<Row>& rows() const { return rows_; }  // never empty
  Place place(size_t offset) const;
  // The offset in `row` nearest to `column` from the left.
  size_t offset(size_t row, int column) const;
  // What to write for a row: tabs as spaces, and after clusters that terminals measure differently the column
  // is set anew; `indent` is the column (from 0) where the row begins.
  std::string draw(size_t row, int indent) const;

 private:
  std::string_view text_;
  std::vector<Row> rows_;
};

}  // namespace qw::chat
