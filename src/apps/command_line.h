// The options and arguments of one command: declared once with the place of their value and the code of their
// help text, parsed strictly, errors as codes in both languages. `--name value`, `--name=value`, `-n 3`; "--"
// ends the options; a lone "-" is an argument. A repeated option counts once, the last; lists collect. Not
// CLI11: there a prompt "info" or "++" would be taken for a subcommand and --stop "[END]" for a list.
// Test: tests/apps/command_line_test.cc
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/messages.h"

namespace qw::apps {

using Args = std::span<const std::string>;

struct IntRange {
  int64_t min = std::numeric_limits<int64_t>::min();
  int64_t max = std::numeric_limits<int64_t>::max();
};
struct NumberRange {
  double min, max;
  bool open_min = false;  // min itself is not allowed
};

// Strict conversions of a whole string. Errors: cli.bad_integer, cli.bad_number (args option, value, range).
Result<int64_t> parse_integer(std::string_view value, std::string_view option, IntRange range);
Result<double> parse_number(std::string_view value, std::string_view option, NumberRange range);

class CommandLine {
 public:
  // `name` is the command ("run"); its texts are "help.run" (one line) and, where there is one,
  // "help.run.more".
  explicit CommandLine(std::string name) : name_(std::move(name)) {}

  // Arguments fill in the order of declaration. `shown` is the word in the usage line ("MODEL").
  void argument(std::string_view shown, std::string* value, bool required);
  void argument(std::string_view shown, std::optional<std::string>* value);
  // All that are left, at least one; declared last.
  void arguments(std::string_view shown, std::vector<std::string>* values);

  // Options. `name` is "--name" or "-n"; `help` the code of the text.
  void flag(std::string_view name, bool* value, std::string_view help);
  void text(std::string_view name, std::string_view shown, std::optional<std::string>* value,
            std::string_view help);
  void texts(std::string_view name, std::string_view shown, std::vector<std::string>* values,
             std::string_view help);
  void integer(std::string_view name, std::optional<int64_t>* value, IntRange range, std::string_view help);
  void number(std::string_view name, std::optional<double>* value, NumberRange range, std::string_view help);
  // One of a closed list of words.
  void choice(std::string_view name, std::vector<std::string> words, std::optional<std::string>* value,
              std::string_view help);
  // Any other form: `set` judges the value.
  void custom(std::string_view name, std::string_view shown, std::function<Status(std::string_view)> set,
              std::string_view help);
  // Ends a group of options in the help page; the next one is headed by this text.
  void heading(std::string_view code);

  // Errors: cli.unknown_option, cli.missing_value, cli.unexpected_value, cli.extra_argument,
  // cli.missing_argument and those of the values. Where --help or -h is found, `help_wanted()` is true and
  // nothing is missing.
  Status parse(Args args);
  bool help_wanted() const { return help_wanted_; }
  std::string help(Lang lang) const;
  const std::string& name() const { return name_; }

 private:
  struct Option {
    std::string name, shown;  // shown is empty for a flag
    std::string help;
    std::function<Status(std::string_view)> set;
  };
  struct Argument {
    std::string shown;
    bool required;
    std::function<void(std::string)> set;
    bool repeats = false;
  };

  const Option* find(std::string_view name) const;
  Status apply_option(Args args, size_t& i);
  Status apply_argument(const std::string& value);

  std::string name_;
  std::vector<Option> options_;  // an entry without a name is a heading
  std::vector<Argument> arguments_;
  size_t next_argument_ = 0;
  bool help_wanted_ = false;
};

}  // namespace qw::apps
