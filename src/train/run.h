// A run of `qw train`: steps, log, evaluations, checkpoints, report, and the result. What a person sees is
// the observer's. Test: tests/train/trainer_test.cc, tests/e2e/train_test.cc
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>

#include "base/descriptor.h"
#include "train/log.h"
#include "train/trainer.h"

namespace qw::train {

struct RunProgress {
  StepResult last;
  int64_t steps = 0;        // of the whole run
  double tok_s = 0;         // of the last step
  double seconds_left = 0;  // at the mean speed of this session
};

struct RunHooks {
  // After every step.
  std::function<void(const RunProgress&)> on_step;
  std::function<void(int64_t step, const EvalResult&)> on_eval;
  // Writes the model or adapter as it stands into `out`; at the end, and nothing else does.
  std::function<Status()> save_result;
};

struct RunEnd {
  int64_t steps = 0;
  bool interrupted = false;  // by `stop`; a checkpoint was written
  bool stopped_early = false;
  int64_t best_step = 0;  // whose weights are the result, where early_stop asks for the best; else 0
};

// Where a run of this `out` keeps its checkpoints.
std::filesystem::path checkpoints_of(const std::filesystem::path& out);

// The folder `out` of one run, held by one process at a time.
class RunFolder {
 public:
  // Makes it, and removes what a run that was killed left of a result. Errors: train.holds_model (args
  // folder, file: of a model or an adapter that no run can go on to, and that the result would replace),
  // train.in_use (folder), file.write.
  static Result<RunFolder> open(const std::filesystem::path& out);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path checkpoints() const { return checkpoints_of(path_); }
  // The checkpoint of the best evaluation, where early_stop asks for it.
  std::filesystem::path best() const { return path_ / "best"; }
  // An earlier run left something here.
  bool used() const;

 private:
  RunFolder(std::filesystem::path path, Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::filesystem::path path_;
  Descriptor lock_;
};

// Goes on from the trainer's step to the last one, or until `stop`. Errors: file.write (the last checkpoint
// stays good), train.non_finite, those of the hooks.
Result<RunEnd> run_training(const RunFolder& folder, Trainer& trainer, const TrainConfig& config,
                            Backend& backend, const std::atomic<bool>& stop, const RunHooks& hooks);

}  // namespace qw::train
