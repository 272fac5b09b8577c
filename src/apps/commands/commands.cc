#include "apps/commands/commands.h"

namespace qw::apps {
namespace {

constexpr Command kCommands[] = {
    {"info", info_command},
};

}  // namespace

std::span<const Command> commands() {
  return kCommands;
}

}  // namespace qw::apps
