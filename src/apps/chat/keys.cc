#include "apps/chat/keys.h"

#include <algorithm>
#include <optional>

#include "apps/chat/graphemes.h"
#include "text/utf8.h"

namespace qw::chat {
namespace {

constexpr char kEsc = '\x1b';
constexpr std::string_view kPasteBegin = "\x1b[200~", kPasteEnd = "\x1b[201~";
constexpr size_t kMaxSequence = 32;  // longer ones are no keys; their bytes are dropped

// Parameters and final byte of a control sequence: "\x1b[1;5C" is {"1;5", 'C'}.
struct Sequence {
  std::string_view parameters;
  char final = 0;

  // Parameter i, 0 where absent; what follows a ':' is left out.
  int parameter(size_t i) const {
    std::string_view rest = parameters;
    for (; i > 0; --i) {
      const size_t semicolon = rest.find(';');
      if (semicolon == rest.npos) return 0;
      rest.remove_prefix(semicolon + 1);
    }
    int n = 0;
    for (const char c : rest) {
      if (c < '0' || c > '9' || n > 100'000) break;
      n = n * 10 + (c - '0');
    }
    return n;
  }
  // Modifiers as xterm counts them: 1 + (1 shift, 2 alt, 4 control).
  bool shift() const { return (modifiers() & 1) != 0; }
  bool alt() const { return (modifiers() & 2) != 0; }
  bool control() const { return (modifiers() & 4) != 0; }

 private:
  int modifiers() const { return std::max(0, parameter(1) - 1); }
};

std::optional<KeyCode> letter_key(const Sequence& s) {
  const bool word = s.control() || s.alt();
  switch (s.final) {
    case 'A':
      return KeyCode::up;
    case 'B':
      return KeyCode::down;
    case 'C':
      return word ? KeyCode::word_right : KeyCode::right;
    case 'D':
      return word ? KeyCode::word_left : KeyCode::left;
    case 'H':
      return KeyCode::home;
    case 'F':
      return KeyCode::end;
    case 'M':  // the keypad's Enter
      return KeyCode::enter;
    default:
      return std::nullopt;
  }
}

std::optional<KeyCode> tilde_key(const Sequence& s) {
  switch (s.parameter(0)) {
    case 1:
    case 7:
      return KeyCode::home;
    case 4:
    case 8:
      return KeyCode::end;
    case 3:
      return s.control() || s.alt() ? KeyCode::word_delete : KeyCode::del;
    case 5:
      return KeyCode::page_up;
    case 6:
      return KeyCode::page_down;
    default:
      return std::nullopt;
  }
}

// A key told by its code point: kitty's "\x1b[13;2u" and xterm's "\x1b[27;2;13~".
std::optional<Key> coded_key(int code, const Sequence& s) {
  if (code == '\r') return Key{s.shift() || s.alt() || s.control() ? KeyCode::newline : KeyCode::enter, {}};
  if (code == 127 || code == 8) return Key{s.control() ? KeyCode::alt_backspace : KeyCode::backspace, {}};
  if (code == 27) return Key{KeyCode::escape, {}};
  if (code == '\t') return Key{KeyCode::tab, {}};
  if (s.control() && code >= 'a' && code <= 'z')
    return Key{KeyCode::ctrl, std::string(1, static_cast<char>(code - 'a' + 'A'))};
  return std::nullopt;
}

std::optional<Key> sequence_key(const Sequence& s) {
  if (s.final == 'u') return coded_key(s.parameter(0), s);
  if (s.final == '~' && s.parameter(0) == 27) return coded_key(s.parameter(2), s);
  const std::optional<KeyCode> code = s.final == '~' ? tilde_key(s) : letter_key(s);
  return code ? std::optional(Key{*code, {}}) : std::nullopt;
}

std::optional<Key> alt_key(char c) {
  switch (c) {
    case '\r':
    case '\n':
      return Key{KeyCode::newline, {}};
    case 'b':
      return Key{KeyCode::word_left, {}};
    case 'f':
      return Key{KeyCode::word_right, {}};
    case 'd':
      return Key{KeyCode::word_delete, {}};
    case '\x7f':
    case '\b':
      return Key{KeyCode::alt_backspace, {}};
    default:
      return std::nullopt;
  }
}

std::optional<Key> control_key(char c) {
  switch (c) {
    case '\r':
      return Key{KeyCode::enter, {}};
    case '\n':
      return Key{KeyCode::newline, {}};
    case '\t':
      return Key{KeyCode::tab, {}};
    case '\x7f':
    case '\b':
      return Key{KeyCode::backspace, {}};
    case '\x17':
      return Key{KeyCode::word_backspace, {}};
    case '\x1f':
      return Key{KeyCode::ctrl, "_"};
    default:
      if (c >= 1 && c <= 26) return Key{KeyCode::ctrl, std::string(1, static_cast<char>('A' + c - 1))};
      return std::nullopt;
  }
}

}  // namespace

std::vector<Key> KeyDecoder::feed(std::string_view bytes) {
  pending_.append(bytes);
  std::vector<Key> keys;
  while (!pending_.empty() && take(keys)) {
  }
  return keys;
}

std::vector<Key> KeyDecoder::flush() {
  if (!waiting()) return {};
  std::vector<Key> keys;
  if (pending_ == std::string_view(&kEsc, 1)) {
    keys.push_back({KeyCode::escape, {}});
  } else if (pending_ == "\x1b\x1b") {
    keys.assign(2, {KeyCode::escape, {}});
  } else if (pending_.front() != kEsc) {
    keys.push_back({KeyCode::text, printable(pending_)});
  }
  pending_.clear();
  return keys;
}

bool KeyDecoder::take(std::vector<Key>& keys) {
  if (in_paste_) return take_paste(keys);
  const char c = pending_.front();
  if (c == kEsc) return take_escape(keys);
  if (static_cast<unsigned char>(c) >= 0x20 && c != '\x7f') return take_text(keys);
  if (const auto key = control_key(c)) keys.push_back(*key);
  pending_.erase(0, 1);
  return true;
}

bool KeyDecoder::take_paste(std::vector<Key>& keys) {
  const size_t end = pending_.find(kPasteEnd, scanned_);
  if (end == pending_.npos) {
    scanned_ = pending_.size() < kPasteEnd.size() ? 0 : pending_.size() - kPasteEnd.size() + 1;
    return false;
  }
  keys.push_back({KeyCode::paste, printable(std::string_view(pending_).substr(0, end))});
  pending_.erase(0, end + kPasteEnd.size());
  in_paste_ = false;
  return true;
}

// The run of text up to the next control character; a code point that is cut off waits.
bool KeyDecoder::take_text(std::vector<Key>& keys) {
  size_t n = 0;
  while (n < pending_.size()) {
    const char c = pending_[n];
    if ((static_cast<unsigned char>(c) < 0x20) || c == '\x7f') break;
    const text::Utf8Step step = text::utf8_step(std::string_view(pending_).substr(n));
    if (step.incomplete) break;
    n += static_cast<size_t>(step.length);
  }
  if (n == 0) return false;
  std::string text = printable(std::string_view(pending_).substr(0, n));
  if (!text.empty()) keys.push_back({KeyCode::text, std::move(text)});
  pending_.erase(0, n);
  return true;
}

bool KeyDecoder::take_escape(std::vector<Key>& keys) {
  if (pending_.starts_with(kPasteBegin)) {
    pending_.erase(0, kPasteBegin.size());
    in_paste_ = true;
    scanned_ = 0;
    return true;
  }
  if (pending_.size() < 2) return false;
  const char second = pending_[1];
  if (second == kEsc && pending_.size() > 2) {  // escape, then another sequence
    keys.push_back({KeyCode::escape, {}});
    pending_.erase(0, 1);
    return true;
  }
  if (second != '[' && second != 'O') {
    if (second == kEsc) return false;
    if (const auto key = alt_key(second)) keys.push_back(*key);
    // An unknown alt key loses its ESC and letter; what follows stands for itself.
    pending_.erase(0, static_cast<unsigned char>(second) < 0x80 ? 2 : 1);
    return true;
  }
  size_t n = 2;  // parameter and intermediate bytes are 0x20…0x3F
  while (n < pending_.size() && pending_[n] >= 0x20 && pending_[n] <= 0x3F) ++n;
  if (n == pending_.size() && n < kMaxSequence) return false;
  const Sequence s{std::string_view(pending_).substr(2, n - 2), n < pending_.size() ? pending_[n] : '\0'};
  if (const auto key = sequence_key(s)) keys.push_back(*key);
  pending_.erase(0, std::min(n + 1, pending_.size()));
  return true;
}

}  // namespace qw::chat
