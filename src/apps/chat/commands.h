// The lines of a chat that are commands: "/name argument". Test: tests/apps/chat_commands_test.cc
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace qw::chat {

enum class CommandCode { help, system, save, load, retry, stats, compact, drop, fresh, exit };

struct CommandRow {
  CommandCode code;
  std::string_view name;   // with its "/"
  std::string_view shown;  // of its argument: "[N]"
  std::string_view help;   // code of its text in the catalogue
};
std::span<const CommandRow> command_table();

struct ChatCommand {
  CommandCode code;
  std::string argument;  // without white space around it; "" where there is none
};
struct UnknownCommand {
  std::string name;
};
struct PlainMessage {
  std::string text;
};

// A line is a command where it begins with "/" and a word of letters alone ("/usr/bin" is a message, and so
// is what begins with a space).
using ChatLine = std::variant<PlainMessage, ChatCommand, UnknownCommand>;
ChatLine parse_line(std::string_view line);

}  // namespace qw::chat
