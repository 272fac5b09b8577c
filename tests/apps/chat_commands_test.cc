#include <gtest/gtest.h>

#include "apps/chat/commands.h"
#include "apps/messages.h"

namespace qw::chat {
namespace {

TEST(ChatCommands, Lines) {
  EXPECT_EQ(std::get<PlainMessage>(parse_line("hello")).text, "hello");
  EXPECT_EQ(std::get<PlainMessage>(parse_line(" /help")).text, " /help");
  EXPECT_EQ(std::get<PlainMessage>(parse_line("/usr/bin/env what?")).text, "/usr/bin/env what?");
  EXPECT_EQ(std::get<PlainMessage>(parse_line("/")).text, "/");
  EXPECT_EQ(std::get<PlainMessage>(parse_line("")).text, "");
  EXPECT_EQ(std::get<UnknownCommand>(parse_line("/hepl me")).name, "/hepl");
  const auto system = std::get<ChatCommand>(parse_line("/system  You are\nbrief. "));
  EXPECT_EQ(system.code, CommandCode::system);
  EXPECT_EQ(system.argument, "You are\nbrief.");
  EXPECT_EQ(std::get<ChatCommand>(parse_line("/drop\t2")).argument, "2");
  EXPECT_EQ(std::get<ChatCommand>(parse_line("/exit")).argument, "");
}

TEST(ChatCommands, EveryCommandHasAHelpText) {
  for (const CommandRow& row : command_table())
    EXPECT_NE(apps::text(apps::Lang::zh, row.help), std::string(row.help)) << row.name;
}

}  // namespace
}  // namespace qw::chat
