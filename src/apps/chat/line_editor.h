// The line editor without a terminal: keys in, state out. Multi-line text, history with incremental search,
// completion of commands. Test: tests/apps/chat_editor_test.cc
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/chat/edit_buffer.h"
#include "apps/chat/history.h"
#include "apps/chat/keys.h"

namespace qw::chat {

enum class EditEvent {
  none,          // keep editing; the text may have changed
  submit,        // enter: take() the message
  cleared,       // ctrl-C once: the line is cleared, a second one leaves
  leave,         // ctrl-D on an empty line, or the second ctrl-C
  clear_screen,  // ctrl-L
  suspend,       // ctrl-Z
};

class LineEditor {
 public:
  // `history` must outlive the editor. `completions`: the words (with their "/") that tab completes.
  explicit LineEditor(const History& history, std::vector<std::string> completions = {})
      : history_(history), completions_(std::move(completions)) {}

  EditEvent key(const Key& key);
  const std::string& text() const { return buffer_.text(); }
  size_t cursor() const { return buffer_.cursor(); }
  // The cells of a row, for up and down.
  void set_width(int cells) { width_ = cells; }
  // The message, and an empty editor.
  std::string take();
  void set_text(std::string text) { buffer_.reset(std::move(text)); }
  // The words looked for with ctrl-R; none where no search is on.
  const std::optional<std::string>& search() const { return search_; }

 private:
  EditEvent enter();
  EditEvent control(char letter);
  EditEvent edit(const Key& key);
  void vertical(int direction);
  void from_history(int direction);
  void complete();
  // True where the search took the key.
  bool search_key(const Key& key);
  void find(size_t from);

  const History& history_;
  std::vector<std::string> completions_;
  EditBuffer buffer_;
  int width_ = 80;
  size_t back_ = 0;                 // how many entries back from the newest; 0 is the draft
  std::string draft_;               // what was typed before going back
  std::optional<int> goal_column_;  // of a run of ups and downs
  bool interrupted_ = false;        // the last key was ctrl-C
  std::optional<std::string> search_;
  size_t found_ = 0;  // one past the history entry that the search shows, 0: none
};

}  // namespace qw::chat
