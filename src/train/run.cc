#include "train/run.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/atomic_file.h"
#include "base/mmap.h"
#include "io/staged_folder.h"
#include "train/checkpoint.h"

namespace qw::train {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// Of best evaluations: the run may be killed, and go on from before the last one.
constexpr int kKeepBest = 2;
constexpr const char* kOneFile = "model.gguf";  // the result of a model that came as one

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Json step_line(const StepResult& r, double tok_s) {
  Json line{{"step", r.step},           {"loss", r.loss},     {"lr", r.lr},
            {"grad_norm", r.grad_norm}, {"tokens", r.tokens}, {"tok_s", tok_s}};
  for (const auto& [name, value] : r.metrics) line[name] = value;
  return line;
}

class Run {
 public:
  Run(const RunFolder& folder, Trainer& trainer, const TrainConfig& config, Backend& backend,
      const RunHooks& hooks, RunLog log)
      : folder_(folder),
        trainer_(trainer),
        config_(config),
        config_json_(config_json(config)),
        backend_(backend),
        hooks_(hooks),
        log_(std::move(log)) {}

  Result<RunEnd> go(const std::atomic<bool>& stop) {
    RunEnd end;
    recall_evaluations();
    forget_checkpoints_after(folder_.best(), trainer_.done());
    end.stopped_early = without_gain();
    while (trainer_.done() < trainer_.steps() && !end.interrupted && !end.stopped_early) {
      QW_TRY(step());
      const bool last = trainer_.done() == trainer_.steps();
      if (evaluates_now(last)) {
        QW_TRY(evaluate());
        end.stopped_early = without_gain();
      }
      end.interrupted = stop.load() && !last;
      const bool due = seconds_since(saved_) >= 60 * config_.checkpoint_minutes;
      const bool ends = last || end.stopped_early;  // below, a checkpoint is written in any case
      if (end.interrupted || (due && !ends)) QW_TRY(checkpoint());
    }
    end.steps = trainer_.done();
    if (end.interrupted) return end;
    QW_TRY(checkpoint());
    QW_TRY(end.best_step, go_back_to_best());
    const Trainer::Averaged averaged(trainer_);
    if (hooks_.save_result) QW_TRY(hooks_.save_result());
    return end;
  }

 private:
  // At the end in any case, where there is something to evaluate on.
  bool evaluates_now(bool last) const {
    if (config_.eval_data.empty()) return false;
    return last || (config_.eval_every > 0 && trainer_.done() % config_.eval_every == 0);
  }

  Status step() {
    const auto start = Clock::now();
    QW_TRY(const StepResult r, trainer_.step());
    const double seconds = seconds_since(start);
    trained_ += seconds;
    ++steps_now_;
    const double tok_s = static_cast<double>(r.tokens) / seconds;
    QW_TRY(log_.append(step_line(r, tok_s)));
    if (hooks_.on_step) {
      const double left =
          static_cast<double>(trainer_.steps() - r.step) * trained_ / static_cast<double>(steps_now_);
      hooks_.on_step({r, trainer_.steps(), tok_s, left});
    }
    return {};
  }

  Status evaluate() {
    QW_TRY(const EvalResult r, trainer_.evaluate());
    Json line{{"step", trainer_.done()}, {"eval_loss", r.loss}};
    for (const auto& [name, value] : r.metrics) line["eval_" + name] = value;
    QW_TRY(log_.append(line));
    if (count_evaluation(r.loss) && config_.early_stop > 0)
      QW_TRY(save_checkpoint(folder_.best(), trainer_, config_json_, backend_, kKeepBest));
    if (hooks_.on_eval) hooks_.on_eval(trainer_.done(), r);
    return {};
  }

  // Whether it is the best so far.
  bool count_evaluation(double loss) {
    const bool better = loss < best_;
    without_gain_ = better ? 0 : without_gain_ + 1;
    if (better) best_ = loss;
    return better;
  }
  // The step that the trainer is at then; 0 where the last weights are wanted. A run that was killed between
  // an evaluation and its checkpoint comes by here again.
  Result<int64_t> go_back_to_best() {
    const auto best = newest_checkpoint(folder_.best());
    if (config_.early_stop == 0 || !best) return 0;
    QW_TRY(load_checkpoint(*best, trainer_, config_json_, backend_));
    return trainer_.done();
  }
  bool without_gain() const { return config_.early_stop > 0 && without_gain_ >= config_.early_stop; }
  // The log tells a resumed run how its evaluations went. What is no number there was none: nan. The best one
  // counts while its weights are there to go back to, and was measured on the data of today.
  void recall_evaluations() {
    const Json data = trainer_.state()["eval_data"];
    for (const Json& line : log_.lines()) {
      const auto found = line.find("eval_loss");
      if (found == line.end()) continue;
      const double loss =
          found->is_number() ? found->get<double>() : std::numeric_limits<double>::quiet_NaN();
      if (!(loss < best_) || is_kept(line.at("step").get<int64_t>(), data)) count_evaluation(loss);
    }
  }
  bool is_kept(int64_t step, const Json& data) const {
    const auto kept = checkpoint_state(folder_.best(), step);
    return kept && kept->value("eval_data", data) == data;
  }

  Status checkpoint() {
    QW_TRY(
        save_checkpoint(folder_.checkpoints(), trainer_, config_json_, backend_, config_.keep_checkpoints));
    saved_ = Clock::now();
    return write_file_atomic(folder_.path() / "report.html",
                             report_html(folder_.path().filename().string(), log_.lines(), config_json_));
  }

  const RunFolder& folder_;
  Trainer& trainer_;
  const TrainConfig& config_;
  const Json config_json_;
  Backend& backend_;
  const RunHooks& hooks_;
  RunLog log_;
  Clock::time_point saved_ = Clock::now();
  double trained_ = 0;  // seconds
  int64_t steps_now_ = 0;
  double best_ = std::numeric_limits<double>::infinity();
  int64_t without_gain_ = 0;
};

// Of a model or an adapter in `folder`, a file whose place a result would take.
std::optional<fs::path> result_in(const fs::path& folder) {
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec)) {
    const fs::path name = entry.path().filename();
    if (name == "config.json" || name == "adapter_config.json" || name == kOneFile ||
        name.extension() == ".safetensors")
      return entry.path();
  }
  return std::nullopt;
}

}  // namespace

fs::path checkpoints_of(const fs::path& out) {
  return out / "checkpoints";
}

Result<RunFolder> RunFolder::open(const fs::path& out) {
  const auto result = result_in(out);
  if (result && !newest_checkpoint(checkpoints_of(out)))
    return fail("train.holds_model", {{"folder", out.string()}, {"file", result->string()}});
  std::error_code ec;
  fs::create_directories(out, ec);
  if (ec) return fail("file.write", {{"file", out.string()}, {"reason", ec.message()}});
  const fs::path lock = out / ".lock";
  Descriptor fd(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!fd.open()) return fail("file.write", {{"file", lock.string()}, {"reason", std::strerror(errno)}});
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return fail("train.in_use", {{"folder", out.string()}});
  // Whole models, of runs that were killed at their end. The lock is held: nobody is writing them.
  StagedFolder::remove_unfinished(out);
  remove_unfinished(out / kOneFile);
  return RunFolder(out, std::move(fd));
}

bool RunFolder::used() const {
  std::error_code ec;
  return fs::exists(path_ / "log.jsonl", ec) || newest_checkpoint(checkpoints()).has_value();
}

Result<RunEnd> run_training(const RunFolder& folder, Trainer& trainer, const TrainConfig& config,
                            Backend& backend, const std::atomic<bool>& stop, const RunHooks& hooks) {
  QW_TRY(RunLog log, RunLog::open(folder.path() / "log.jsonl", trainer.done()));
  return Run(folder, trainer, config, backend, hooks, std::move(log)).go(stop);
}

}  // namespace qw::train
