// The configuration of `qw train`: a TOML file whose keys are a contract with scripts. One table names every
// key with its default, its bounds and the code of its description. Test: tests/train/config_test.cc
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace qw::train {

struct LoraOptions {
  int rank = 16;
  double alpha = 32.0;
  double dropout = 0.0;
  std::vector<std::string> targets = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                      "gate_proj", "up_proj", "down_proj"};
  bool rslora = false;
};

struct DpoOptions {
  double beta = 0.1;
  double label_smoothing = 0.0;
};

struct DistillOptions {
  double beta = 0.0;  // 0: KL(teacher ‖ student), 1: KL(student ‖ teacher), between: Jensen-Shannon
  double temperature = 1.0;  // of both, in the loss
  bool on_policy = false;    // the student writes the answers that are compared
  int max_new_tokens = 128;  // on-policy
  double sampling_temperature = 1.0;
};

struct TrainConfig {
  std::string model, init = "pretrained", out, task = "pretrain", method = "full", adapter, teacher;
  std::vector<std::string> data, eval_data;
  std::string date;  // what templates take for the day: "2026-01-02"; "": that of the run's begin
  int seq_len = 512, batch_size = 8, grad_accum = 1;
  int64_t steps = 0;
  double epochs = 1.0;
  bool packing = true, shuffle = true, append_eos = true;
  std::string bad_lines = "refuse";
  double lr = 1e-4;
  std::string schedule = "cosine";
  int64_t warmup_steps = 0, decay_steps = 0;
  double min_lr = 0.0;
  std::string optimizer = "adamw";
  std::array<double, 2> betas = {0.9, 0.95};
  double eps = 1e-8, weight_decay = 0.0, max_grad_norm = 1.0, ema = 0.0;
  std::string precision = "bf16";
  bool recompute = false;
  int64_t seed = 1;
  double checkpoint_minutes = 10.0;
  int keep_checkpoints = 2;
  int64_t eval_every = 0, early_stop = 0;
  int threads = 0;
  std::string save_dtype = "model";
  LoraOptions lora;
  DpoOptions dpo;
  DistillOptions distill;

  // The student writes the answers of a distillation.
  bool on_policy() const { return task == "distill" && distill.on_policy; }
};

// One key as the table has it; `name` of a key in a section is "lora.rank". Its description is the message
// "train.key." + name with dots as underscores.
struct KeyInfo {
  std::string name;
  Json fallback;         // the default
  std::string expected;  // "integer, 1 …", "one of: adamw, muon"
};
std::vector<KeyInfo> config_keys();

// Errors: train.toml (args file, line, column, reason), train.unknown_key (file, line, key, nearest),
// train.key (file, line, key, found, expected), train.needs (file, key, reason: what it goes with).
Result<TrainConfig> parse_config(std::string_view toml, std::string_view file);

// Keys that are not at their default and that this run does not read (a rank beside an adapter that has its
// own, a teacher without distillation): train.unread (args key, reason: what they go with).
std::vector<Error> unread_keys(TrainConfig config);

// Every key with its value, nested by section.
Json config_json(const TrainConfig& config);

// The first key, if any, in which a run that is resumed must not differ and does: "" where none.
std::string first_difference(const Json& before, const Json& now);

}  // namespace qw::train
