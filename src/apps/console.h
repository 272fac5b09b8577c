// The three standard streams: the result goes to stdout and nothing else does; errors, warnings, notes and
// progress go to stderr. Every write is checked: a closed pipe or a full disk is an error like another.
// Test: tests/e2e
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "apps/messages.h"

namespace qw::apps {

class Console {
 public:
  Lang lang = Lang::en;
  bool quiet = false;

  bool err_is_terminal() const;
  bool out_is_terminal() const;
  bool in_is_terminal() const;

  // stdout, at once and whole. Errors: output.write (args reason).
  Status write(std::string_view bytes);
  // stderr; failures there have nobody to be told to.
  void write_err(std::string_view bytes);

  // "qw: sentence" on stderr. Warnings and notes are left out with --quiet.
  void error(const Error& error);
  void warn(const Error& warning);
  void note(std::string_view line);

  std::string text(std::string_view code, std::initializer_list<ErrorArg> args = {}) const {
    return apps::text(lang, code, args);
  }
};

// Everything up to the end of stdin. Errors: input.read (args reason).
Result<std::string> read_stdin();
// The content of a FILE argument: "-" is stdin; pipes and devices (as of the shell's "<(…)") are read too.
// Errors: input.read, those of base's read_file.
Result<std::string> read_input(const std::string& file);

// stdin line by line, without waiting for more than the line that is asked for.
class LineReader {
 public:
  // The next line without its "\n"; none at the end. Errors: input.read.
  Result<std::optional<std::string>> next();

 private:
  std::string buffer_;
  size_t begin_ = 0;
  bool ended_ = false;
};

}  // namespace qw::apps
