// What a chat says and hears: in a terminal with the line editor, or line by line through pipes.
// Test: tests/e2e/chat_test.cc
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "apps/chat/history.h"
#include "apps/chat/terminal.h"
#include "apps/program.h"

namespace qw::chat {

class Ui {
 public:
  virtual ~Ui() = default;
  // The next message or command; none: the person leaves, or stdin is at its end. Errors: input.read.
  virtual Result<std::optional<std::string>> read() = 0;
  // The next read() begins with this text.
  virtual void draft(const std::string& text) = 0;
  // Something about the conversation, not part of it.
  virtual void say(std::string_view line) = 0;
  virtual void error(const Error& error) = 0;
  // An earlier message, shown when a conversation is taken up.
  virtual void recall(std::string_view role, std::string_view text) = 0;

  // A piece of the answer. Errors: output.write.
  virtual Status answer(std::string_view reasoning, std::string_view text) = 0;
  // `calls`: the model waits for its tools, and the answer goes on behind them.
  virtual Status end_answer(bool calls) = 0;
  enum class Wait { ready, timeout, interrupt, closed };
  // Waits for `fd` at most `timeout_ms`; interrupt: ctrl-C.
  virtual Wait wait(int fd, int timeout_ms) = 0;
};

// `terminal` is not in raw mode yet; it is from here to the end of the Ui. `history` and `program` outlive
// it.
std::unique_ptr<Ui> make_terminal_ui(apps::Program& program, std::unique_ptr<Terminal> terminal,
                                     History& history);
std::unique_ptr<Ui> make_plain_ui(apps::Program& program);

}  // namespace qw::chat
