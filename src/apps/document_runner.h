// Runs whole documents through a model, several in one step, each attending to itself alone: for embeddings,
// ranking and scores. Test: tests/e2e/embed_test.cc
#pragma once

#include <functional>
#include <vector>

#include "apps/model_files.h"
#include "core/arena.h"
#include "core/ctx.h"

namespace qw::apps {

// Whether what `step` allocates fits beside what is there: it runs on a backend that computes nothing.
// Errors: memory.plan.
Status check_step_fits(DType real, const std::function<void(Ctx&)>& step);

class DocumentRunner {
 public:
  // Computes one batch on the host's behalf; its rows wanted are in batch.logit_rows.
  using Compute = std::function<std::vector<float>(Ctx&, const Batch&)>;
  // Rows [n, width] of document `i`, of the rows that were wanted of it.
  using Take = std::function<Status(size_t i, std::span<const float> rows)>;

  // `model` is the body whose memory a step is measured by.
  DocumentRunner(Model& model, Backend& backend, Compute compute,
                 std::shared_ptr<const AdapterSet> adapter = nullptr)
      : model_(model),
        backend_(backend),
        compute_(std::move(compute)),
        adapter_(std::move(adapter)),
        arena_(backend) {}

  // `wanted[i]`: rows of document i, ascending, at least one. Documents are taken in order, as many a step as
  // kStepTokens hold (one at least). Errors: memory.plan where a step does not fit beside what is there,
  // before anything is computed; those of `take`.
  Status run(const std::vector<std::vector<int32_t>>& documents,
             const std::vector<std::vector<int32_t>>& wanted, const Take& take);

  static constexpr size_t kStepTokens = 2048;

 private:
  Status fits(const Batch& largest);

  Model& model_;
  Backend& backend_;
  Compute compute_;
  std::shared_ptr<const AdapterSet> adapter_;
  Arena arena_;
  size_t fits_tokens_ = 0;  // a step of so many was found to fit
};

// The last row of every document.
std::vector<std::vector<int32_t>> last_rows(const std::vector<std::vector<int32_t>>& documents);

// A text per document: TEXT arguments, else the lines of stdin; with `jsonl` each line is an object with
// "text". Errors: jsonl.no_key, jsonl.not_text, json.*, input.read.
class TextInput {
 public:
  TextInput(std::vector<std::string> arguments, bool jsonl)
      : arguments_(std::move(arguments)), jsonl_(jsonl) {}
  Result<std::optional<std::string>> next();

 private:
  std::vector<std::string> arguments_;
  bool jsonl_;
  size_t at_ = 0;
  LineReader lines_;
};

}  // namespace qw::apps
