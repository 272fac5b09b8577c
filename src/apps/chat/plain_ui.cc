// The chat through pipes: a line of stdin is a turn, stdout carries the answers alone, each ended by a
// newline.
#include <poll.h>

#include "apps/chat/graphemes.h"
#include "apps/chat/ui.h"

namespace qw::chat {
namespace {

class PlainUi final : public Ui {
 public:
  explicit PlainUi(apps::Program& program) : console_(program.console()) {}

  Result<std::optional<std::string>> read() override {
    if (console_.in_is_terminal() && console_.err_is_terminal()) console_.write_err("> ");
    QW_TRY(std::optional<std::string> line, lines_.next());
    if (line && line->ends_with('\r')) line->pop_back();
    return line;
  }
  void draft(const std::string& /*text*/) override {}
  void say(std::string_view line) override { console_.note(line); }
  void error(const Error& error) override { console_.error(error); }
  void recall(std::string_view /*role*/, std::string_view /*text*/) override {}

  Status answer(std::string_view reasoning, std::string_view text) override {
    if (!reasoning.empty() && console_.err_is_terminal() && !console_.quiet) {
      console_.write_err(fmt::format("\x1b[2m{}\x1b[0m", printable(reasoning)));
      reasoned_ = true;
    }
    if (text.empty()) return {};
    if (std::exchange(reasoned_, false)) console_.write_err("\n");
    wrote_ = true;
    return console_.out_is_terminal() ? console_.write(printable(text)) : console_.write(text);
  }
  Status end_answer(bool calls) override {
    if (std::exchange(reasoned_, false)) console_.write_err("\n");
    // A round without a word leaves no line behind.
    return std::exchange(wrote_, false) || !calls ? console_.write("\n") : Status();
  }

  // Without a terminal in raw mode ctrl-C is a signal, and ends the program (apps/interrupts.h).
  Wait wait(int fd, int timeout_ms) override {
    pollfd p = {fd, POLLIN, 0};
    return ::poll(&p, 1, timeout_ms) > 0 ? Wait::ready : Wait::timeout;
  }

 private:
  apps::Console& console_;
  apps::LineReader lines_;
  bool reasoned_ = false;  // reasoning was shown and no text yet
  bool wrote_ = false;     // text of this answer
};

}  // namespace

std::unique_ptr<Ui> make_plain_ui(apps::Program& program) {
  return std::make_unique<PlainUi>(program);
}

}  // namespace qw::chat
