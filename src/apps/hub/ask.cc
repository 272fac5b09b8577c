#include "apps/hub/ask.h"

#include <unistd.h>

#include <array>
#include <cerrno>

namespace qw::apps {

bool can_ask(const Console& console) {
  return console.in_is_terminal() && console.err_is_terminal();
}

bool ask(Console& console, const std::string& question) {
  console.write_err(question + " ");
  std::string line;
  for (char c = 0; line.size() < 64;) {
    const ssize_t n = ::read(STDIN_FILENO, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    if (c == '\n') break;
    if (c != ' ' && c != '\r') line += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  constexpr std::array<std::string_view, 4> kYes{"y", "yes", "是", "好"};
  for (const std::string_view yes : kYes)
    if (line == yes) return true;
  return false;
}

}  // namespace qw::apps
