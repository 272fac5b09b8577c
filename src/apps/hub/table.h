// A table of text in columns, for a terminal. Test: tests/apps/machine_test.cc
#pragma once

#include <string>
#include <vector>

namespace qw::apps {

struct Table {
  struct Column {
    std::string head;
    bool right = false;     // aligned
    bool optional = false;  // left out where the table would be too wide
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // as many cells as columns
};

// A line of heads and a line a row, two spaces between columns, none at the end of a line; in at most `cells`
// cells where leaving out optional columns, the first ones first, can do it (0: as wide as it is).
std::string table_text(Table table, int cells = 0);
// The width of the terminal that stdout is; 0 where it is none.
int stdout_columns();

}  // namespace qw::apps
