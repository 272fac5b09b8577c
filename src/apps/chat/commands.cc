#include "apps/chat/commands.h"

#include <algorithm>

namespace qw::chat {
namespace {

constexpr CommandRow kCommands[] = {
    {CommandCode::help, "/help", "", "chat.help.help"},
    {CommandCode::system, "/system", "[TEXT]", "chat.help.system"},
    {CommandCode::retry, "/retry", "", "chat.help.retry"},
    {CommandCode::stats, "/stats", "", "chat.help.stats"},
    {CommandCode::compact, "/compact", "", "chat.help.compact"},
    {CommandCode::drop, "/drop", "[N]", "chat.help.drop"},
    {CommandCode::save, "/save", "FILE", "chat.help.save"},
    {CommandCode::load, "/load", "FILE", "chat.help.load"},
    {CommandCode::fresh, "/new", "", "chat.help.new"},
    {CommandCode::exit, "/exit", "", "chat.help.exit"},
};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

std::span<const CommandRow> command_table() {
  return kCommands;
}

ChatLine parse_line(std::string_view line) {
  const std::string_view name = line.substr(0, line.find_first_of(" \t\n"));
  if (name.size() < 2 || name[0] != '/' || !std::all_of(name.begin() + 1, name.end(), is_letter))
    return PlainMessage{std::string(line)};
  for (const CommandRow& row : kCommands)
    if (row.name == name) return ChatCommand{row.code, std::string(trim(line.substr(name.size())))};
  return UnknownCommand{std::string(name)};
}

}  // namespace qw::chat
