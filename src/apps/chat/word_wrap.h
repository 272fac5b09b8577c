// Wraps streamed text at words: a word that crosses the edge is taken back from its row and written into the
// next one. East-Asian text wraps anywhere. Test: tests/apps/chat_view_test.cc
#pragma once

#include <string>
#include <string_view>

namespace qw::chat {

class WordWrap {
 public:
  // `columns` of the terminal, as they are now.
  void set_columns(int columns) { width_ = columns > 8 ? columns - 1 : 7; }
  // Bytes for the terminal; `text` has no control characters but \n and \t.
  std::string push(std::string_view text);
  // The cursor is at the start of a row.
  void reset() { *this = WordWrap(width_); }
  WordWrap() = default;

 private:
  explicit WordWrap(int width) : width_(width) {}
  void add(std::string_view cluster, int cells, std::string& out);

  int width_ = 79;  // one column less: the terminal never wraps by itself
  int column_ = 0;
  std::string word_;  // since the last place to break
  int word_column_ = 0;
};

}  // namespace qw::chat
