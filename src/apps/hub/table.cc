#include "apps/hub/table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "apps/chat/graphemes.h"

namespace qw::apps {
namespace {

size_t text_cells(std::string_view text) {
  return static_cast<size_t>(chat::text_cells(text));
}

// Names and licences are a file's or a hub's own words.
std::string one_line(std::string_view text) {
  std::string out = chat::printable(text);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return out;
}

std::string line_text(const std::vector<std::string>& cells, const std::vector<Table::Column>& columns,
                      const std::vector<size_t>& widths) {
  std::string out;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string space(widths[i] - text_cells(cells[i]), ' ');
    if (i > 0) out += "  ";
    out += columns[i].right ? space + cells[i] : cells[i] + space;
  }
  out.resize(out.find_last_not_of(' ') + 1);
  return out + "\n";
}

std::vector<size_t> widths_of(const Table& table) {
  std::vector<size_t> widths;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    widths.push_back(text_cells(table.columns[i].head));
    for (const auto& row : table.rows) widths.back() = std::max(widths.back(), text_cells(row[i]));
  }
  return widths;
}

}  // namespace

std::string table_text(Table table, int cells) {
  for (auto& row : table.rows)
    for (std::string& cell : row) cell = one_line(cell);
  std::vector<size_t> widths = widths_of(table);
  for (size_t i = 0; cells > 0 && i < table.columns.size();) {
    size_t all = 2 * (widths.size() - 1);
    for (const size_t w : widths) all += w;
    if (all <= static_cast<size_t>(cells)) break;
    if (!table.columns[i].optional) {
      ++i;
      continue;
    }
    const auto at = static_cast<std::ptrdiff_t>(i);
    table.columns.erase(table.columns.begin() + at);
    for (auto& row : table.rows) row.erase(row.begin() + at);
    widths.erase(widths.begin() + at);
  }
  std::vector<std::string> heads;
  for (const Table::Column& column : table.columns) heads.push_back(column.head);
  std::string out = line_text(heads, table.columns, widths);
  for (const auto& row : table.rows) out += line_text(row, table.columns, widths);
  return out;
}

int stdout_columns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace qw::apps
