// Draws the edited text below the cursor's row on, as bytes for the terminal, and knows where it has drawn.
// Test: tests/apps/chat_view_test.cc (against a small terminal of its own)
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qw::chat {

struct ScreenSize {
  int columns = 80;
  int rows = 24;

  bool operator==(const ScreenSize&) const = default;
};

class EditView {
 public:
  explicit EditView(ScreenSize size) { set_size(size); }

  // The cells of a row of text.
  int text_width() const;
  // The text anew, the cursor in it, `hint` in a dim row below (may be empty). Longer texts than the screen
  // show the part around the cursor.
  std::string draw(std::string_view text, size_t cursor, std::string_view hint);
  // The last drawing: without a hint, the cursor in the row below, nothing of ours is redrawn afterwards.
  std::string finish(std::string_view text);
  // The screen was cleared and the cursor is in its first row.
  void cleared();
  // The terminal has another size now, its rows wrapped anew (as most terminals do).
  void set_size(ScreenSize size);

 private:
  std::string move_to_top();

  ScreenSize size_;
  size_t top_ = 0;         // first row of the layout that is shown
  size_t cursor_row_ = 0;  // counted from the first row drawn
  int cursor_column_ = 0;
  bool erase_first_ = false;
  std::vector<int> drawn_cells_;  // of each row drawn, its prompt included
};

}  // namespace qw::chat
