// Bytes of a terminal in raw mode → keys. Incremental: a sequence may arrive in any pieces. Understands the
// xterm and VT220 forms of the editing keys, the "modifyOtherKeys" and kitty forms of Enter, and bracketed
// paste. Test: tests/apps/chat_keys_test.cc
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qw::chat {

enum class KeyCode {
  text,   // `text` typed, valid UTF-8 without control characters
  paste,  // `text` between the paste brackets, as printable() leaves it
  enter,
  newline,  // ctrl-J, alt-Enter, shift-Enter
  tab,
  backspace,
  del,
  left,
  right,
  up,
  down,
  home,
  end,
  page_up,
  page_down,
  word_left,
  word_right,
  word_backspace,  // to the white space (ctrl-W)
  alt_backspace,   // to the word's start
  word_delete,
  ctrl,  // ctrl and the letter in `text`: "A" … "Z", also "_"
  escape,
};

struct Key {
  KeyCode code;
  std::string text;

  bool operator==(const Key&) const = default;
};

class KeyDecoder {
 public:
  // The keys that are complete with these bytes.
  std::vector<Key> feed(std::string_view bytes);
  // No byte came for a while: what waits is complete (a lone ESC is the escape key, a torn sequence nothing).
  // A paste goes on waiting for its end bracket.
  std::vector<Key> flush();
  // Whether flush() could give something: poll with a short timeout.
  bool waiting() const { return !pending_.empty() && !in_paste_; }

 private:
  // Takes one key from the front of pending_; false where more bytes are needed.
  bool take(std::vector<Key>& keys);
  bool take_paste(std::vector<Key>& keys);
  bool take_text(std::vector<Key>& keys);
  bool take_escape(std::vector<Key>& keys);

  std::string pending_;
  size_t scanned_ = 0;  // of a paste: where to go on looking for its end
  bool in_paste_ = false;
};

}  // namespace qw::chat
