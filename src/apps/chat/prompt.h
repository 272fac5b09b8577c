// One message from the person at the terminal: the editor, its view and the terminal put together.
// Test: tests/e2e/chat_test.cc
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "apps/chat/edit_view.h"
#include "apps/chat/line_editor.h"
#include "apps/chat/terminal.h"

namespace qw::chat {

struct PromptTexts {
  std::string leave_hint;   // below the line after the first ctrl-C
  std::string search_hint;  // before the words of ctrl-R
};

class Prompt {
 public:
  Prompt(Terminal& terminal, const History& history, PromptTexts texts);

  // Begins at the start of a row. None: the person leaves (ctrl-D, ctrl-C twice, or the terminal is gone).
  std::optional<std::string> read();
  // The text that the next read() begins with.
  void set_draft(std::string text) { editor_.set_text(std::move(text)); }
  // Bytes that were typed while nobody read them.
  void type_ahead(std::string_view bytes) { typed_.append(bytes); }

 private:
  void draw();
  bool follow_size();
  // True where the message is done or the person leaves.
  bool handle(EditEvent event);
  bool take_keys(const std::vector<Key>& keys);

  Terminal& terminal_;
  PromptTexts texts_;
  LineEditor editor_;
  KeyDecoder decoder_;
  ScreenSize size_;
  EditView view_;
  std::string typed_;
  std::vector<Key> waiting_;  // keys behind the one that ended the last message
  bool hint_leave_ = false;
  bool left_ = false;
};

}  // namespace qw::chat
