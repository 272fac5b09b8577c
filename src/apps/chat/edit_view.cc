#include "apps/chat/edit_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "apps/chat/graphemes.h"
#include "apps/chat/layout.h"

namespace qw::chat {
namespace {

constexpr std::string_view kPrompt = "> ", kIndent = "  ";
constexpr int kPromptCells = 2;
constexpr std::string_view kDim = "\x1b[2m", kBold = "\x1b[1m", kPlain = "\x1b[0m";

// The part of one line of text that fits.
std::string_view fitting(std::string_view text, int cells) {
  const Layout layout(text, std::max(1, cells));
  return text.substr(0, layout.rows().front().end);
}

}  // namespace

// One column stays free: the cursor behind a full row has a cell, and the terminal never wraps by itself.
int EditView::text_width() const {
  return std::max(1, size_.columns - kPromptCells - 1);
}

std::string EditView::draw(std::string_view text, size_t cursor, std::string_view hint) {
  const Layout layout(text, text_width());
  const Place place = layout.place(cursor);
  const size_t height = static_cast<size_t>(std::max(1, size_.rows - (hint.empty() ? 0 : 1)));
  const size_t n_rows = layout.rows().size();
  top_ = std::min(top_, n_rows > height ? n_rows - height : 0);
  if (place.row < top_) top_ = place.row;
  if (place.row >= top_ + height) top_ = place.row - height + 1;

  std::string out = "\x1b[?25l";
  out += move_to_top();
  // Rows that the terminal wrapped are marked as one line there until they are erased.
  if (std::exchange(erase_first_, false)) out += "\x1b[J";
  drawn_cells_.clear();
  const size_t end = std::min(n_rows, top_ + height);
  for (size_t row = top_; row < end; ++row) {
    if (row > top_) out += "\r\n";
    out += row == 0 ? fmt::format("{}{}{}", kBold, kPrompt, kPlain) : std::string(kIndent);
    out += layout.draw(row, kPromptCells) + "\x1b[K";
    drawn_cells_.push_back(kPromptCells + layout.rows()[row].cells);
  }
  if (!hint.empty()) {
    const std::string_view shown = fitting(hint, size_.columns - 1);
    out += fmt::format("\r\n{}{}{}\x1b[K", kDim, shown, kPlain);
    drawn_cells_.push_back(text_cells(shown));
  }
  out += "\x1b[J\r";
  cursor_row_ = place.row - top_;
  cursor_column_ = kPromptCells + place.column;
  if (const size_t up = drawn_cells_.size() - 1 - cursor_row_; up > 0) out += fmt::format("\x1b[{}A", up);
  return out + fmt::format("\x1b[{}C\x1b[?25h", cursor_column_);
}

std::string EditView::finish(std::string_view text) {
  std::string out = draw(text, text.size(), "") + "\r\n";
  top_ = cursor_row_ = 0;
  cursor_column_ = 0;
  drawn_cells_.clear();
  return out;
}

void EditView::cleared() {
  cursor_row_ = 0;
  drawn_cells_.clear();
}

void EditView::set_size(ScreenSize size) {
  size_ = {std::max(4, size.columns), std::max(1, size.rows)};
  const auto wrapped = [this](int cells) {
    return static_cast<size_t>(std::max(0, cells - 1) / size_.columns);
  };
  size_t row = 0;
  for (size_t i = 0; i < std::min(cursor_row_, drawn_cells_.size()); ++i) row += 1 + wrapped(drawn_cells_[i]);
  cursor_row_ = row + static_cast<size_t>(cursor_column_ / size_.columns);
  erase_first_ = true;
}

std::string EditView::move_to_top() {
  return cursor_row_ > 0 ? fmt::format("\r\x1b[{}A", cursor_row_) : std::string("\r");
}

}  // namespace qw::chat
