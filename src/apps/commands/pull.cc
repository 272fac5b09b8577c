// qw pull: a model brought into the store. Test: tests/e2e/pull_test.cc
#include "apps/commands/commands.h"
#include "apps/hub/fetch_model.h"

namespace qw::apps {

Result<int> pull_command(Program& program, Args args) {
  std::string text;
  std::optional<int64_t> connections;
  CommandLine line("pull");
  line.argument("NAME", &text, true);
  line.integer("--connections", &connections, {.min = 1, .max = 64}, "help.pull.connections");
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  FetchOptions options;
  if (connections) options.connections = static_cast<int>(*connections);
  QW_TRY(const std::optional<hub::Pulled> pulled, fetch_model(program, text, options));
  if (!pulled) return kExitInterrupted;
  QW_TRY(report_pulled(program, *pulled));
  return kExitOk;
}

}  // namespace qw::apps
