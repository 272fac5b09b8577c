// The chat in a terminal. What the model wrote is shown without control characters; reasoning is dim.
#include <fmt/format.h>

#include <chrono>

#include "apps/chat/graphemes.h"
#include "apps/chat/prompt.h"
#include "apps/chat/ui.h"
#include "apps/chat/word_wrap.h"

namespace qw::chat {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kDim = "\x1b[2m", kPlain = "\x1b[0m", kClearRow = "\r\x1b[K";
constexpr char kInterrupt = '\x03';

class TerminalUi final : public Ui {
 public:
  TerminalUi(apps::Program& program, std::unique_ptr<Terminal> terminal, History& history)
      : program_(program),
        terminal_(std::move(terminal)),
        history_(history),
        prompt_(*terminal_, history,
                {.leave_hint = program.console().text("chat.leave_hint"),
                 .search_hint = program.console().text("chat.search_hint")}) {}

  Result<std::optional<std::string>> read() override {
    std::optional<std::string> text = prompt_.read();
    if (text) {
      if (const Status added = history_.add(*text); !added) error(added.error());
    }
    return text;
  }
  void draft(const std::string& text) override { prompt_.set_draft(text); }

  void say(std::string_view line) override {
    clear_waiting();
    terminal_->write(fmt::format("{}{}{}\n", kDim, wrapped(line), kPlain));
  }
  void error(const Error& error) override {
    clear_waiting();
    terminal_->write(wrapped("qw: " + apps::message(program_.lang(), error)) + "\n");
  }
  void recall(std::string_view role, std::string_view text) override {
    std::string out;
    if (role == "user") {
      out = printable(text);
      for (size_t at = 0; (at = out.find('\n', at)) != out.npos; at += 3) out.insert(at + 1, "  ");
      out.insert(0, "> ");
    } else {
      out = wrapped(text) + "\n";
    }
    terminal_->write(fmt::format("{}{}{}\n", kDim, out, kPlain));
  }

  Status answer(std::string_view reasoning, std::string_view text) override {
    clear_waiting();
    answered_ = true;
    wrap_.set_columns(terminal_->size().columns);
    if (!reasoning.empty()) {
      terminal_->write(fmt::format("{}{}{}", kDim, wrap_.push(printable(reasoning)), kPlain));
      reasoned_ = true;
    }
    if (text.empty()) return {};
    if (std::exchange(reasoned_, false)) terminal_->write(wrap_.push("\n\n"));
    terminal_->write(wrap_.push(printable(text)));
    return {};
  }
  Status end_answer(bool calls) override {
    clear_waiting();
    if (!calls) terminal_->write("\n\n");
    if (calls && answered_) terminal_->write("\n");
    started_.reset();
    reasoned_ = answered_ = false;
    wrap_.reset();
    return {};
  }

  Wait wait(int fd, int timeout_ms) override {
    if (!started_) started_ = Clock::now();
    show_waiting();
    switch (terminal_->wait(timeout_ms, fd)) {
      case Terminal::Wake::other:
        return Wait::ready;
      case Terminal::Wake::closed:
        return Wait::closed;
      case Terminal::Wake::input:
        return typed(terminal_->read_input());
      case Terminal::Wake::timeout:
      case Terminal::Wake::signal:
        return Wait::timeout;
    }
    return Wait::timeout;
  }

 private:
  std::string wrapped(std::string_view text) const {
    WordWrap wrap;
    wrap.set_columns(terminal_->size().columns);
    return wrap.push(printable(text));
  }
  // ctrl-C ends the answer; everything else is kept for the next message.
  Wait typed(const std::string& bytes) {
    const size_t at = bytes.rfind(kInterrupt);
    if (at == bytes.npos) {
      prompt_.type_ahead(bytes);
      return Wait::timeout;
    }
    prompt_.type_ahead(std::string_view(bytes).substr(at + 1));
    return Wait::interrupt;
  }
  // After a second without an answer: how long it has been.
  void show_waiting() {
    const auto elapsed = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - *started_).count();
    if (answered_ || elapsed < 1 || elapsed == waited_s_) return;
    waited_s_ = elapsed;
    terminal_->write(fmt::format("{}{}{}{}", kClearRow, kDim,
                                 program_.console().text("chat.waiting", {{"seconds", elapsed}}), kPlain));
  }
  void clear_waiting() {
    if (waited_s_ == 0) return;
    waited_s_ = 0;
    terminal_->write(kClearRow);
  }

  apps::Program& program_;
  std::unique_ptr<Terminal> terminal_;
  History& history_;
  Prompt prompt_;
  WordWrap wrap_;                             // of the answer
  std::optional<Clock::time_point> started_;  // of the answer that is waited for
  int64_t waited_s_ = 0;                      // shown in the row of the cursor; 0: nothing is
  bool answered_ = false;
  bool reasoned_ = false;  // reasoning was shown and no text yet
};

}  // namespace

std::unique_ptr<Ui> make_terminal_ui(apps::Program& program, std::unique_ptr<Terminal> terminal,
                                     History& history) {
  terminal->begin();
  return std::make_unique<TerminalUi>(program, std::move(terminal), history);
}

}  // namespace qw::chat
