// The text being edited: a cursor that always stands between grapheme clusters, kills and yanks, undo. Pure
// state, no terminal. Test: tests/apps/chat_editor_test.cc
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qw::chat {

class EditBuffer {
 public:
  const std::string& text() const { return text_; }
  size_t cursor() const { return cursor_; }  // a byte offset

  // The whole text replaced, the cursor at its end; undo forgets what was.
  void reset(std::string text);
  // The same as one edit that undo takes back.
  void replace(std::string text);
  void insert(std::string_view text);

  void move_to(size_t cursor) { cursor_ = cursor; }
  void left();
  void right();
  void line_start() { cursor_ = line_begin(); }
  void line_end() { cursor_ = line_finish(); }
  // Words are runs of ASCII letters and digits or of any other script; what lies between is passed over.
  void word_left() { cursor_ = previous_word(); }
  void word_right() { cursor_ = next_word(); }

  void erase_left();
  void erase_right();
  // Kills keep their text for yank(); kills that follow one another join.
  void kill_to_line_start();  // at the start of a line: the newline before it
  void kill_to_line_end();    // at the end of a line: the newline
  void kill_white_word();     // back to the white space
  void kill_word_left();
  void kill_word_right();
  void yank() { insert(killed_); }
  void undo();

 private:
  enum class Edit { none, type, erase, kill, other };
  struct Snapshot {
    std::string text;
    size_t cursor;
  };

  size_t line_begin() const;
  size_t line_finish() const;
  size_t previous_word() const;
  size_t next_word() const;
  void kill(size_t begin, size_t end);
  void settle();
  // Called before a change: remembers the state, one snapshot a run of equal edits at one place.
  void remember(Edit edit);

  std::string text_;
  size_t cursor_ = 0;
  std::string killed_;
  std::vector<Snapshot> undo_;
  Edit last_edit_ = Edit::none;
  size_t last_cursor_ = 0;  // after the last edit: a moved cursor begins a new run
};

}  // namespace qw::chat
