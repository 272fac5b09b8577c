// The parts of a training run, opened as its configuration says: backend, model, adapter, teacher or
// reference, data, objective. Test: tests/e2e/train_test.cc
#pragma once

#include <memory>
#include <optional>

#include "apps/program.h"
#include "hub/store.h"
#include "io/checkpoint.h"
#include "io/peft/peft.h"
#include "text/chat_renderer.h"
#include "text/tokenizer.h"
#include "train/trainer.h"

namespace qw::apps {

struct TrainSetup {
  std::unique_ptr<Backend> backend;   // outlives everything below
  std::unique_ptr<Backend> sampling;  // on-policy distillation: writes the answers
  Checkpoint checkpoint;              // its weights are taken; a model with random weights has none
  std::optional<Tokenizer> tokenizer;
  std::optional<ChatRenderer> renderer;
  std::shared_ptr<Model> model, other;  // other: teacher or reference
  std::optional<LoraAdapter> adapter;
  std::vector<Weight*> all, learning;
  train::Dataset data, eval_data;
  size_t available = 0;  // bytes of memory before anything was opened; 0: the system does not say
  train::TrainMemory memory;
  std::unique_ptr<train::Trainer> trainer;
  hub::FileLock model_in_use = {}, teacher_in_use = {};  // of models of the store
};

// `config.date` is set. Everything but the trainer, whose memory is only taken once the plan fits; weights
// only where they fit themselves. Errors: those of every part; train.needs, train.over_model,
// train.quantised, train.not_quantised, train.too_long, train.no_template, train.teacher_tokens, train.vocab,
// train.weights_memory, train.memory, template.time, memory.model_too_large, memory.exhausted.
Result<std::unique_ptr<TrainSetup>> open_training(Program& program, const train::TrainConfig& config);
Status make_trainer(TrainSetup& setup, const train::TrainConfig& config);

// The model or adapter as it stands, into config.out: a Hugging Face folder, model.gguf where the model came
// from such a file, or a PEFT folder.
Status save_trained(TrainSetup& setup, const train::TrainConfig& config);

}  // namespace qw::apps
