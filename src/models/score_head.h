// Models whose head gives scores instead of tokens: Qwen2- and Qwen3ForSequenceClassification (one matrix),
// Qwen2ForRewardModel (Qwen2.5-Math-RM) and Qwen2ForProcessRewardModel (Qwen2.5-Math-PRM; both two matrices
// with biases and a ReLU between). The body is an ordinary model whose own head is never asked. Test:
// tests/golden/scoring_golden_test.cc
#pragma once

#include "models/model.h"
#include "nn/modules.h"

namespace qw {

// Which rows are scored: the last of a text, or every <extra_0> that ends a step.
enum class ScoreRows { last, steps };

class ScoreModel {
 public:
  const Model& body() const { return *body_; }
  Model& body() { return *body_; }
  ScoreRows rows() const { return rows_; }
  int labels() const { return labels_; }
  // Scores [R, labels] of the rows batch.logit_rows, on the host. f32 backends.
  std::vector<float> scores(Ctx& cx, const Batch& batch) const;

 private:
  friend Result<std::unique_ptr<ScoreModel>> load_score_model(const Json&, WeightSource&, Backend&,
                                                              std::vector<Error>&);
  void visit(Visitor& visitor);

  std::unique_ptr<Model> body_;
  nn::Linear first_, last_;  // first_: with two matrices alone
  ScoreRows rows_ = ScoreRows::last;
  int labels_ = 1;
  bool two_ = false;
};

// Whether the config's architecture is one of those above.
bool is_score_model(const Json& config);

// Errors: as load_model; config.* of num_labels.
Result<std::unique_ptr<ScoreModel>> load_score_model(const Json& config, WeightSource& source,
                                                     Backend& backend, std::vector<Error>& warnings);

}  // namespace qw
