#include "apps/chat/line_editor.h"

#include <algorithm>

#include "apps/chat/graphemes.h"
#include "apps/chat/layout.h"

namespace qw::chat {

EditEvent LineEditor::key(const Key& key) {
  if (search_ && search_key(key)) return EditEvent::none;
  const bool second_interrupt = interrupted_ && key == Key{KeyCode::ctrl, "C"};
  if (second_interrupt) return EditEvent::leave;
  interrupted_ = false;
  if (key.code != KeyCode::up && key.code != KeyCode::down) goal_column_.reset();
  if (key.code == KeyCode::enter) return enter();
  if (key.code == KeyCode::ctrl) return control(key.text.front());
  return edit(key);
}

std::string LineEditor::take() {
  std::string text = buffer_.text();
  buffer_.reset("");
  back_ = 0;
  draft_.clear();
  search_.reset();
  return text;
}

// A backslash that ends the text, itself not escaped by another, makes a new line of it.
EditEvent LineEditor::enter() {
  const std::string& text = buffer_.text();
  const size_t last = text.find_last_not_of('\\');
  const size_t n_backslashes = text.size() - (last == text.npos ? 0 : last + 1);
  if (n_backslashes % 2 == 0 || buffer_.cursor() != text.size()) return EditEvent::submit;
  buffer_.erase_left();
  buffer_.insert("\n");
  return EditEvent::none;
}

EditEvent LineEditor::control(char letter) {
  switch (letter) {
    case 'C':
      buffer_.replace("");
      back_ = 0;
      interrupted_ = true;
      return EditEvent::cleared;
    case 'D':
      if (buffer_.text().empty()) return EditEvent::leave;
      buffer_.erase_right();
      return EditEvent::none;
    case 'L':
      return EditEvent::clear_screen;
    case 'Z':
      return EditEvent::suspend;
    case 'R':
      search_.emplace();
      found_ = history_.entries().size() + 1;
      return EditEvent::none;
    case 'A':
      return edit({KeyCode::home, {}});
    case 'E':
      return edit({KeyCode::end, {}});
    case 'B':
      return edit({KeyCode::left, {}});
    case 'F':
      return edit({KeyCode::right, {}});
    case 'P':
      return edit({KeyCode::up, {}});
    case 'N':
      return edit({KeyCode::down, {}});
    case 'K':
      buffer_.kill_to_line_end();
      return EditEvent::none;
    case 'U':
      buffer_.kill_to_line_start();
      return EditEvent::none;
    case 'Y':
      buffer_.yank();
      return EditEvent::none;
    case '_':
      buffer_.undo();
      return EditEvent::none;
    default:
      return EditEvent::none;
  }
}

EditEvent LineEditor::edit(const Key& key) {
  switch (key.code) {
    case KeyCode::text:
    case KeyCode::paste:
      buffer_.insert(key.text);
      break;
    case KeyCode::newline:
      buffer_.insert("\n");
      break;
    case KeyCode::tab:
      complete();
      break;
    case KeyCode::backspace:
      buffer_.erase_left();
      break;
    case KeyCode::del:
      buffer_.erase_right();
      break;
    case KeyCode::left:
      buffer_.left();
      break;
    case KeyCode::right:
      buffer_.right();
      break;
    case KeyCode::up:
      vertical(-1);
      break;
    case KeyCode::down:
      vertical(1);
      break;
    case KeyCode::page_up:
      from_history(-1);
      break;
    case KeyCode::page_down:
      from_history(1);
      break;
    case KeyCode::home:
      buffer_.line_start();
      break;
    case KeyCode::end:
      buffer_.line_end();
      break;
    case KeyCode::word_left:
      buffer_.word_left();
      break;
    case KeyCode::word_right:
      buffer_.word_right();
      break;
    case KeyCode::word_backspace:
      buffer_.kill_white_word();
      break;
    case KeyCode::alt_backspace:
      buffer_.kill_word_left();
      break;
    case KeyCode::word_delete:
      buffer_.kill_word_right();
      break;
    case KeyCode::enter:
    case KeyCode::ctrl:
    case KeyCode::escape:
      break;
  }
  return EditEvent::none;
}

// Within the text by rows as they are shown; beyond its first and last row through the history.
void LineEditor::vertical(int direction) {
  const Layout layout(buffer_.text(), width_);
  const Place place = layout.place(buffer_.cursor());
  if (!goal_column_) goal_column_ = place.column;
  if (direction < 0 ? place.row == 0 : place.row + 1 == layout.rows().size()) {
    from_history(direction);
    return;
  }
  buffer_.move_to(layout.offset(direction < 0 ? place.row - 1 : place.row + 1, *goal_column_));
}

void LineEditor::from_history(int direction) {
  const auto& entries = history_.entries();
  if (direction < 0 ? back_ == entries.size() : back_ == 0) return;
  if (back_ == 0) draft_ = buffer_.text();
  back_ = direction < 0 ? back_ + 1 : back_ - 1;
  buffer_.reset(back_ == 0 ? draft_ : entries[entries.size() - back_]);
  goal_column_.reset();
}

// The first word, where it begins with "/", as far as all completions that fit agree.
void LineEditor::complete() {
  const std::string word = buffer_.text().substr(0, buffer_.cursor());
  if (word.empty() || word.front() != '/' || word.find_first_of(" \n\t") != word.npos) return;
  std::string common;
  int n_fits = 0;
  for (const std::string& c : completions_) {
    if (!c.starts_with(word)) continue;
    if (n_fits++ == 0) {
      common = c;
    } else {
      const auto end = std::mismatch(common.begin(), common.end(), c.begin(), c.end()).first;
      common.erase(end, common.end());
    }
  }
  if (n_fits == 0) return;
  buffer_.insert(common.substr(word.size()) + (n_fits == 1 ? " " : ""));
}

bool LineEditor::search_key(const Key& key) {
  if (key == Key{KeyCode::ctrl, "R"}) {
    if (found_ > 1) find(found_ - 1);
    return true;
  }
  if (key.code == KeyCode::text) {
    *search_ += key.text;
    find(std::min(found_, history_.entries().size()));
    return true;
  }
  if (key.code == KeyCode::backspace) {
    if (!search_->empty()) search_->erase(grapheme_before(*search_, search_->size()));
    find(history_.entries().size());
    return true;
  }
  search_.reset();
  return key.code == KeyCode::escape || key == Key{KeyCode::ctrl, "G"};
}

// The newest entry at or before number `from` (counted from 1) that holds the words.
void LineEditor::find(size_t from) {
  for (size_t n = from; n > 0; --n) {
    const std::string& entry = history_.entries()[n - 1];
    if (entry.find(*search_) == entry.npos) continue;
    found_ = n;
    buffer_.replace(entry);
    return;
  }
}

}  // namespace qw::chat
