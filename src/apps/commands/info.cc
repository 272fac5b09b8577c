// qw info: the machine, and the model where one is named. Test: tests/e2e/info_test.cc
#include "apps/commands/commands.h"
#include "apps/paths.h"
#include "base/json.h"

namespace qw::apps {

Result<int> info_command(Program& program, Args args) {
  CommandLine line("info");
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  QW_TRY(const auto home, qw_home());
  Json machine;
  machine["threads"] = program.threads();
  machine["home"] = home.string();
  Json result;
  result["machine"] = machine;
  if (program.json()) {
    QW_TRY(program.console().write(to_json_line(result) + "\n"));
    return kExitOk;
  }
  std::string out;
  for (const auto& [key, value] : machine.items()) {
    out += fmt::format("{:<10}{}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  QW_TRY(program.console().write(out));
  return kExitOk;
}

}  // namespace qw::apps
