// Opens a model that is to judge texts: one with a score head (models/score_head.h), or any other.
// Test: tests/e2e/embed_test.cc
#pragma once

#include "apps/model_files.h"
#include "models/score_head.h"

namespace qw::apps {

struct OpenScorer {
  std::unique_ptr<Backend> backend;  // outlives the models
  Checkpoint checkpoint;
  std::shared_ptr<Model> model;       // without a score head
  std::unique_ptr<ScoreModel> score;  // with one
  std::optional<Tokenizer> tokenizer;
  hub::FileLock in_use = {};  // of a model of the store

  Model& body() { return score ? score->body() : *model; }
};

Result<OpenScorer> open_scorer(Program& program, std::string_view model, const ModelFlags& flags);

}  // namespace qw::apps
