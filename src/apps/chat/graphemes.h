// Grapheme clusters (UAX 29, extended, Unicode 15.0) and the cells that a terminal gives them (UAX 11, the
// wcwidth of Debian 12's C library). Test: tests/apps/chat_graphemes_test.cc
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace qw::chat {

// One cluster. `cells`: 0, 1 or 2, more for scripts whose marks take cells of their own; `joined` says that
// terminals differ about the cells (emoji sequences, variation selectors).
struct Grapheme {
  size_t bytes = 0;
  int cells = 0;
  bool joined = false;
};

// The cluster that begins at `pos` < text.size(); the text is valid UTF-8.
Grapheme grapheme_at(std::string_view text, size_t pos);

// The start of the cluster that ends at `pos` > 0, a cluster boundary. Clusters are looked for from the start
// of the line of text, as a boundary can depend on all code points before it.
size_t grapheme_before(std::string_view text, size_t pos);

// The cells of one line of text without control characters.
int text_cells(std::string_view text);

// The text as it may be shown: valid UTF-8 without control characters other than \n and \t, so that neither a
// paste nor a model can send sequences to the terminal. \r\n and \r become \n.
std::string printable(std::string_view text);

}  // namespace qw::chat
