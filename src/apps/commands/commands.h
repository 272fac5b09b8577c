// The commands, one file each; chat lives in apps/chat.
#pragma once

#include "apps/program.h"

namespace qw::apps {

Result<int> info_command(Program& program, Args args);

}  // namespace qw::apps
