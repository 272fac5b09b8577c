// The qw program: language, commands, and what every command shares. A command declares its options on a
// CommandLine, lets Program parse them, and answers with its exit status or an Error; a code "cli.…" means
// wrong use (exit 2), every other one failure (exit 1). Test: tests/e2e/program_test.cc
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "apps/command_line.h"
#include "apps/console.h"
#include "apps/interrupts.h"

namespace qw::apps {

class Program {
 public:
  explicit Program(Interrupts& interrupts) : interrupts_(interrupts) {}

  // args without the program's name. The exit status.
  int run(Args args);

  Console& console() { return console_; }
  Interrupts& interrupts() { return interrupts_; }
  Lang lang() const { return console_.lang; }
  // --threads, else available_cores().
  int threads() const;
  bool json() const { return json_; }
  static std::string_view version();  // "0.1.0"

  // Adds the options that every command has (--threads --quiet --lang --json --help) and parses. False: the
  // help page was printed and the command is done.
  Result<bool> parse(CommandLine& line, Args args);

 private:
  Result<int> dispatch(Args args);
  Result<int> general_help();
  Status set_lang(Args args);

  Interrupts& interrupts_;
  Console console_;
  std::optional<int64_t> threads_;
  std::optional<std::string> lang_;
  bool json_ = false;
};

// One entry of the table of commands.
using CommandFunction = Result<int> (*)(Program&, Args);
struct Command {
  std::string_view name;  // its one-line text is "help.<name>"
  CommandFunction function;
};
std::span<const Command> commands();

// main: sets up signals and the log sink, then Program::run.
int program_main(int argc, char** argv);

}  // namespace qw::apps
