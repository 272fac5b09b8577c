#include "apps/chat/edit_buffer.h"

#include <algorithm>

#include "apps/chat/graphemes.h"

namespace qw::chat {
namespace {

constexpr size_t kMaxSnapshots = 100;

bool is_word(char c) {
  return static_cast<unsigned char>(c) >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
         (c >= 'a' && c <= 'z') || c == '_';
}
bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\t';
}

// The cluster boundary at `offset`, or else the one before it or after it.
size_t boundary(std::string_view text, size_t offset, bool after) {
  const size_t newline = offset == 0 ? text.npos : text.rfind('\n', offset - 1);
  size_t at = newline == text.npos ? 0 : newline + 1;
  while (at < offset) {
    const size_t next = at + grapheme_at(text, at).bytes;
    if (next > offset && !after) break;
    at = next;
  }
  return at;
}

}  // namespace

void EditBuffer::reset(std::string text) {
  text_ = std::move(text);
  cursor_ = text_.size();
  undo_.clear();
  last_edit_ = Edit::none;
}

void EditBuffer::replace(std::string text) {
  remember(Edit::other);
  text_ = std::move(text);
  cursor_ = last_cursor_ = text_.size();
}

void EditBuffer::insert(std::string_view text) {
  if (text.empty()) return;
  remember(text.size() <= 4 && !is_space(text.front()) ? Edit::type : Edit::other);
  text_.insert(cursor_, text);
  cursor_ += text.size();
  settle();
}

// What an edit brings together can join ("e" and a combining accent): the cursor goes behind that cluster.
void EditBuffer::settle() {
  cursor_ = last_cursor_ = boundary(text_, cursor_, true);
}

void EditBuffer::left() {
  if (cursor_ > 0) cursor_ = grapheme_before(text_, cursor_);
}
void EditBuffer::right() {
  if (cursor_ < text_.size()) cursor_ += grapheme_at(text_, cursor_).bytes;
}

void EditBuffer::erase_left() {
  if (cursor_ == 0) return;
  remember(Edit::erase);
  const size_t begin = grapheme_before(text_, cursor_);
  text_.erase(begin, cursor_ - begin);
  cursor_ = begin;
  settle();
}

void EditBuffer::erase_right() {
  if (cursor_ == text_.size()) return;
  remember(Edit::erase);
  text_.erase(cursor_, grapheme_at(text_, cursor_).bytes);
  settle();
}

void EditBuffer::kill_to_line_start() {
  const size_t begin = line_begin();
  kill(begin == cursor_ && begin > 0 ? begin - 1 : begin, cursor_);
}
void EditBuffer::kill_to_line_end() {
  const size_t end = line_finish();
  kill(cursor_, end == cursor_ && end < text_.size() ? end + 1 : end);
}
void EditBuffer::kill_white_word() {
  size_t begin = cursor_;
  while (begin > 0 && is_space(text_[begin - 1])) --begin;
  while (begin > 0 && !is_space(text_[begin - 1])) --begin;
  kill(boundary(text_, begin, false), cursor_);
}
void EditBuffer::kill_word_left() {
  kill(previous_word(), cursor_);
}
void EditBuffer::kill_word_right() {
  kill(cursor_, next_word());
}

void EditBuffer::undo() {
  if (undo_.empty()) return;
  text_ = std::move(undo_.back().text);
  cursor_ = undo_.back().cursor;
  undo_.pop_back();
  last_edit_ = Edit::none;
}

size_t EditBuffer::line_begin() const {
  const size_t newline = cursor_ == 0 ? text_.npos : text_.rfind('\n', cursor_ - 1);
  return newline == text_.npos ? 0 : newline + 1;
}
size_t EditBuffer::line_finish() const {
  return std::min(text_.find('\n', cursor_), text_.size());
}

size_t EditBuffer::previous_word() const {
  size_t at = cursor_;
  while (at > 0 && !is_word(text_[at - 1])) --at;
  while (at > 0 && is_word(text_[at - 1])) --at;
  return boundary(text_, at, false);
}
size_t EditBuffer::next_word() const {
  size_t at = cursor_;
  while (at < text_.size() && !is_word(text_[at])) ++at;
  while (at < text_.size() && is_word(text_[at])) ++at;
  return boundary(text_, at, true);
}

void EditBuffer::kill(size_t begin, size_t end) {
  if (begin == end) return;
  const bool joins = last_edit_ == Edit::kill && last_cursor_ == cursor_;
  const bool backward = begin < cursor_;
  remember(Edit::kill);
  const std::string piece = text_.substr(begin, end - begin);
  if (!joins)
    killed_ = piece;
  else
    killed_ = backward ? piece + killed_ : killed_ + piece;
  text_.erase(begin, end - begin);
  cursor_ = begin;
  settle();
}

void EditBuffer::remember(Edit edit) {
  const bool goes_on =
      edit == last_edit_ && cursor_ == last_cursor_ && (edit == Edit::type || edit == Edit::erase);
  if (!goes_on) {
    if (undo_.size() == kMaxSnapshots) undo_.erase(undo_.begin());
    undo_.push_back({text_, cursor_});
  }
  last_edit_ = edit;
  last_cursor_ = cursor_;
}

}  // namespace qw::chat
