// qw train: derives a model from a configuration file. Spec: docs/train.md. Test: tests/e2e/train_test.cc
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>

#include "apps/commands/commands.h"
#include "apps/memory.h"
#include "apps/train/setup.h"
#include "train/checkpoint.h"
#include "train/run.h"

namespace qw::apps {
namespace {

using train::TrainConfig;

std::string toml_value(const Json& value) {
  if (value.is_number_float()) {
    std::string text = fmt::format("{}", value.get<double>());
    return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
  }
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);  // texts, lists, numbers: as in JSON
}

// A configuration with every key at its default, which qw train reads back.
std::string all_keys(const Console& console) {
  std::string out, section;
  for (const train::KeyInfo& key : train::config_keys()) {
    const size_t dot = key.name.find('.');
    const std::string name = dot == std::string::npos ? key.name : key.name.substr(dot + 1);
    const std::string in = dot == std::string::npos ? "" : key.name.substr(0, dot);
    if (in != section) out += fmt::format("\n[{}]\n", section = in);
    std::string code = "train.key." + key.name;
    std::replace(code.begin() + 10, code.end(), '.', '_');
    out += fmt::format("{:<34} # {} ({})\n", fmt::format("{} = {}", name, toml_value(key.fallback)),
                       console.text(code), key.expected);
  }
  return out;
}

size_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  size_t all = 0, resident = 0;
  in >> all >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

std::string clock_text(double seconds) {
  const auto s = static_cast<int64_t>(seconds);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : fmt::format("{}:{:02}", s / 60, s % 60);
}

// How far the run is: on a terminal a line that each step draws anew, elsewhere (nohup, a pipe) a line a
// minute, and one at the first and the last step.
class StepLine {
 public:
  explicit StepLine(Console& console) : console_(console), live_(console.err_is_terminal()) {}
  ~StepLine() { clear(); }
  StepLine(const StepLine&) = delete;
  StepLine& operator=(const StepLine&) = delete;

  void show(const train::RunProgress& p) {
    if (console_.quiet || (!live_ && !due(p))) return;
    const std::string text = console_.text("ui.train.step", {{"step", p.last.step},
                                                             {"steps", p.steps},
                                                             {"loss", fmt::format("{:.4f}", p.last.loss)},
                                                             {"speed", fmt::format("{:.0f}", p.tok_s)},
                                                             {"left", clock_text(p.seconds_left)},
                                                             {"memory", bytes_text(resident_bytes())}});
    if (!live_) return console_.note(text);
    console_.write_err("\r\x1b[K" + text);
    drawn_ = true;
  }
  void clear() {
    if (drawn_) console_.write_err("\r\x1b[K");
    drawn_ = false;
  }

 private:
  using Clock = std::chrono::steady_clock;

  bool due(const train::RunProgress& p) {
    const auto now = Clock::now();
    if (said_ && p.last.step < p.steps && now - *said_ < std::chrono::minutes(1)) return false;
    said_ = now;
    return true;
  }

  Console& console_;
  bool live_, drawn_ = false;
  std::optional<Clock::time_point> said_;
};

Status say_plan(Program& program, const TrainSetup& s) {
  const train::TrainMemory& m = s.memory;
  int64_t learning = 0;
  for (const Weight* w : s.learning) learning += w->shape.elements();
  if (program.json()) {
    const Json plan{{"weight_bytes", m.weights},
                    {"gradient_bytes", m.gradients},
                    {"optimizer_bytes", m.optimizer},
                    {"activation_bytes", m.activations},
                    {"data_bytes", m.data},
                    {"total_bytes", m.total()},
                    {"parameters_learning", learning},
                    {"documents", s.data.documents.size()},
                    {"tokens", s.data.ids.size()}};
    return program.console().write(to_json_line(plan) + "\n");
  }
  program.console().note(program.console().text(
      "ui.train.plan", {{"parameters", fmt::format("{:.4g}", static_cast<double>(learning) / 1e6)},
                        {"documents", s.data.documents.size()},
                        {"tokens", s.data.ids.size()},
                        {"total", bytes_text(m.total())},
                        {"weights", bytes_text(m.weights)},
                        {"gradients", bytes_text(m.gradients)},
                        {"optimizer", bytes_text(m.optimizer)},
                        {"activations", bytes_text(m.activations)}}));
  return {};
}

// The newest checkpoint, where there is one; else the run begins.
Status take_up(Program& program, const train::RunFolder& folder, TrainSetup& s, const TrainConfig& config) {
  const auto newest = train::newest_checkpoint(folder.checkpoints());
  if (!newest) {
    program.console().note(program.console().text("ui.train.anew", {{"folder", folder.path().string()}}));
    return {};
  }
  QW_TRY(train::load_checkpoint(*newest, *s.trainer, train::config_json(config), *s.backend));
  program.console().note(program.console().text(
      "ui.train.resumed",
      {{"file", newest->string()}, {"step", s.trainer->done()}, {"steps", s.trainer->steps()}}));
  return {};
}

// What templates take for the day: a run that is taken up keeps the day of its begin.
std::string date_of(const TrainConfig& config, bool resume) {
  if (!config.date.empty()) return config.date;
  if (const auto newest = train::newest_checkpoint(train::checkpoints_of(config.out)); resume && newest) {
    const Json saved = train::checkpoint_config(*newest);
    const auto date = saved.find("date");
    if (date != saved.end() && date->is_string()) return date->get<std::string>();
  }
  return LocalTime::now().format("%Y-%m-%d");
}

Result<int> train_now(Program& program, const TrainConfig& config, const train::RunFolder& folder,
                      TrainSetup& s) {
  Console& console = program.console();
  std::atomic<bool> stop = false;
  StepLine line(console);
  const train::RunHooks hooks{
      .on_step = [&](const train::RunProgress& p) { line.show(p); },
      .on_eval =
          [&](int64_t step, const train::EvalResult& r) {
            line.clear();
            console.note(
                console.text("ui.train.eval", {{"step", step}, {"loss", fmt::format("{:.4f}", r.loss)}}));
          },
      .save_result = [&] { return save_trained(s, config); }};
  train::RunEnd end;
  {
    const Interrupts::Scope interrupts(program.interrupts(), [&] { stop = true; });
    QW_TRY(end, train::run_training(folder, *s.trainer, config, *s.backend, stop, hooks));
  }
  line.clear();
  if (end.interrupted) {
    console.note(console.text("ui.train.interrupted", {{"step", end.steps}}));
    return kExitInterrupted;
  }
  if (end.stopped_early) console.note(console.text("ui.train.early", {{"step", end.steps}}));
  if (end.best_step > 0) console.note(console.text("ui.train.best", {{"step", end.best_step}}));
  if (program.json()) {
    Json done{{"out", config.out}, {"steps", end.steps}, {"stopped_early", end.stopped_early}};
    if (end.best_step > 0) done["best_step"] = end.best_step;
    QW_TRY(console.write(to_json_line(done) + "\n"));
  } else {
    QW_TRY(
        console.write(console.text("ui.train.done", {{"steps", end.steps}, {"folder", config.out}}) + "\n"));
  }
  return kExitOk;
}

}  // namespace

Result<int> train_command(Program& program, Args args) {
  std::optional<std::string> file;
  bool print_config = false, resume = false, dry_run = false;
  CommandLine line("train");
  line.argument("CONFIG.toml", &file);
  line.flag("--print-config", &print_config, "help.train.print_config");
  line.flag("--resume", &resume, "help.train.resume");
  line.flag("--dry-run", &dry_run, "help.dry_run");
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  if (print_config) {
    QW_TRY(program.console().write(all_keys(program.console())));
    return kExitOk;
  }
  if (!file) return fail("cli.missing_argument", {{"shown", "CONFIG.toml"}, {"command", line.name()}});
  QW_TRY(const std::string text, read_input(*file));
  QW_TRY(TrainConfig config, train::parse_config(text, *file));
  for (Error& unread : train::unread_keys(config)) program.console().warn(unread.with("file", *file));
  config.date = date_of(config, resume);
  if (dry_run) {
    QW_TRY(const auto setup, open_training(program, config));
    QW_TRY(say_plan(program, *setup));
    return kExitOk;
  }
  // First of all: a run that may not write here must not take the memory of the one that does.
  QW_TRY(const train::RunFolder folder, train::RunFolder::open(config.out));
  if (!resume && folder.used()) return fail("train.exists", {{"folder", folder.path().string()}});
  QW_TRY(const auto setup, open_training(program, config));
  if (!program.json()) QW_TRY(say_plan(program, *setup));
  QW_TRY(make_trainer(*setup, config));
  if (resume) QW_TRY(take_up(program, folder, *setup, config));
  return train_now(program, config, folder, *setup);
}

}  // namespace qw::apps
