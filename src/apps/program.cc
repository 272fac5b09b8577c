#include "apps/program.h"

#include <csignal>

#include "base/log.h"
#include "base/thread_pool.h"

namespace qw::apps {
namespace {

constexpr int64_t kMaxThreads = 1024;

}  // namespace

std::string_view Program::version() {
  return QW_VERSION;
}

int Program::threads() const {
  return threads_ ? static_cast<int>(*threads_) : available_cores();
}

// The language is needed before the options are parsed, for errors about them.
Status Program::set_lang(Args args) {
  console_.lang = locale_lang();
  std::string flag;
  for (size_t i = 0; i < args.size() && args[i] != "--"; ++i) {
    if (args[i].starts_with("--lang=")) flag = args[i].substr(7);
    if (args[i] == "--lang" && i + 1 < args.size()) flag = args[i + 1];
  }
  QW_TRY(console_.lang, choose_lang(flag));
  return {};
}

Result<bool> Program::parse(CommandLine& line, Args args) {
  line.heading("help.common");
  line.integer("--threads", &threads_, {.min = 1, .max = kMaxThreads}, "help.threads");
  line.flag("--quiet", &console_.quiet, "help.quiet");
  line.choice("--lang", {"en", "zh"}, &lang_, "help.lang");
  line.flag("--json", &json_, "help.json");
  bool help = false;
  line.flag("--help", &help, "help.help");
  QW_TRY(line.parse(args));
  if (!line.help_wanted()) return true;
  QW_TRY(console_.write(line.help(lang())));
  return false;
}

Result<int> Program::general_help() {
  std::string out = console_.text("help.usage", {{"usage", "qw COMMAND …"}}) + "\n\n";
  out += console_.text("help.qw") + "\n\n" + console_.text("help.commands") + "\n";
  for (const Command& c : commands())
    out += fmt::format("  {:<17}{}\n", c.name, console_.text(fmt::format("help.{}", c.name)));
  out += fmt::format("\n{}\n", console_.text("help.each"));
  QW_TRY(console_.write(out));
  return kExitOk;
}

Result<int> Program::dispatch(Args args) {
  QW_TRY(set_lang(args));
  // Options before the command belong to it: `qw --lang zh info`.
  size_t at = 0;
  while (at < args.size() && args[at].starts_with("-")) {
    const std::string& word = args[at];
    if (word == "--version") {
      QW_TRY(console_.write("qw " QW_VERSION " (" QW_BUILD ")\n"));
      return kExitOk;
    }
    if (word == "--help" || word == "-h") return general_help();
    at += word == "--lang" || word == "--threads" ? 2 : 1;
  }
  if (at >= args.size()) return fail("cli.no_command");
  const std::string& name = args[at];
  if (name == "help" && at + 1 >= args.size()) return general_help();
  std::vector<std::string> rest(args.begin(), args.begin() + static_cast<std::ptrdiff_t>(at));
  rest.insert(rest.end(), args.begin() + static_cast<std::ptrdiff_t>(at) + 1, args.end());
  const std::string& wanted = name == "help" ? args[at + 1] : name;
  for (const Command& c : commands()) {
    if (c.name != wanted) continue;
    if (name == "help") rest = {"--help"};
    return c.function(*this, rest);
  }
  return fail("cli.unknown_command", {{"command", wanted}});
}

int Program::run(Args args) {
  const Result<int> status = dispatch(args);
  if (status) return *status;
  console_.error(status.error());
  return status.error().code().starts_with("cli.") ? kExitUsage : kExitFailure;
}

int program_main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write()
  std::signal(SIGXFSZ, SIG_IGN);  // so is a file above the limit of the shell
  Interrupts interrupts;
  Program program(interrupts);
  set_log_sink([&program](LogLevel level, std::string_view line) {
    if (level == LogLevel::fatal || (level == LogLevel::warning && !program.console().quiet))
      program.console().write_err(fmt::format("qw: {}\n", line));
  });
  const std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
  const int status = program.run(args);
  set_log_sink(nullptr);
  return status;
}

}  // namespace qw::apps
