// Runs the items of an evaluation: texts with given continuations are scored many in one forward step,
// answers are generated many at once by one engine. Test: tests/e2e/eval_test.cc
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "apps/console.h"
#include "apps/eval/task.h"
#include "apps/memory.h"
#include "apps/model_files.h"
#include "engine/engine.h"
#include "text/chat_renderer.h"

namespace qw::eval {

struct EvalOptions {
  int max_tokens = 128;  // of an answer whose item and task file do not say
  int batch = 16;        // answers generated at once
  DType kv = DType::f16;
  LocalTime now = {};  // what templates take for the time: of the whole run, that it can be taken up
};

// One result: the members that stand behind id, kind, skill and language.
using OnResult = std::function<Status(const Item& item, Json result)>;

class Evaluator {
 public:
  // Everything outlives the evaluator; `renderer` may be null where no item has messages.
  Evaluator(apps::Console& console, apps::OpenModel& open, const ChatRenderer* renderer,
            const EvalOptions& options, OnResult done)
      : console_(console), open_(open), renderer_(renderer), options_(options), done_(std::move(done)) {}

  // An item that cannot be run (too long for the model or the memory, a template that fails) has a result
  // with "error". Errors: those of `done` and of engine_limits, memory.exhausted.
  Status run(const std::vector<const Item*>& items);

 private:
  struct Prompt {
    std::vector<int32_t> ids;
    bool opens_reasoning = false;
  };
  struct Job;      // sequences to score
  struct Waiting;  // an answer that is not asked for yet
  struct Running;  // an answer that is generated

  Result<Prompt> prompt_of(const Item& item) const;
  Result<Job> choice_job(const Item& item) const;
  Result<Job> perplexity_job(const Item& item) const;
  // Errors: eval.no_tokens, engine.prompt_too_long, ids.too_large, those of the template.
  Result<Job> job_of(const Item& item) const;
  Status score(const std::vector<const Item*>& items);
  Status scored(const Job& job, const std::vector<Result<double>>& sums);
  Status generate(const std::vector<const Item*>& items);
  Result<std::deque<Waiting>> prompts_of(const std::vector<const Item*>& items);
  Result<std::optional<EngineOptions>> plan_engine(std::deque<Waiting>& waiting);
  Status take_event(const Event& event, std::unordered_map<RequestId, Running>& running);
  Status failed(const Item& item, const Error& error);

  apps::Console& console_;
  apps::OpenModel& open_;
  const ChatRenderer* renderer_;
  EvalOptions options_;
  OnResult done_;
};

// Sets options.kv_bytes: KV pages for the context of each of max_seqs, or, where that does not fit into
// memory, of half as many, and so on down to one: the engine lets requests wait for pages. Errors:
// memory.answer (args needed), those of engine_limits.
Status fit_pages(apps::Console& console, Model& model, EngineOptions& options,
                 const apps::WeightMemory& weights);

}  // namespace qw::eval
