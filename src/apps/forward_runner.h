// Runs a model step by step over token ids that are given, without an engine: for logits, perplexity and
// bench. One or more streams advance together, each with its own pages. Test: tests/e2e (logits, perplexity)
#pragma once

#include <memory>
#include <span>

#include "core/arena.h"
#include "core/ctx.h"
#include "core/kv_pool.h"
#include "models/model.h"

namespace qw::apps {

class ForwardRunner {
 public:
  struct Options {
    int streams = 1;
    int max_tokens = 0;  // of each stream; what AttnPlan::n_prompt takes for the prompt
    DType kv = DType::f32;
    std::shared_ptr<const AdapterSet> adapter = nullptr;  // on every row; null: none
    const InputTrace* inputs = nullptr;                   // of every product; null: none
  };
  enum class Rows { none, last, all };

  // Errors: memory.plan (the KV pages do not fit beside what is there), memory.exhausted. Model and backend
  // outlive the runner.
  static Result<std::unique_ptr<ForwardRunner>> create(const Model& model, Backend& backend,
                                                       const Options& options);

  // Appends ids.size() / streams tokens to every stream (`ids`: stream after stream) and answers the logits
  // [R, V] of the wanted rows, valid until the next call. There must be room for them.
  Tensor step(std::span<const int32_t> ids, Rows wanted, const Trace* trace = nullptr);

  // Forgets everything, or all but the first `n_tokens` of every stream (only where !recurrent()).
  void reset();
  void rewind(int n_tokens);
  bool recurrent() const { return pool_->has_recurrent(); }
  int length() const { return length_; }

 private:
  ForwardRunner(const Model& model, Backend& backend, const Options& options)
      : model_(model), backend_(backend), options_(options), arena_(backend) {}
  Batch make_batch(std::span<const int32_t> ids) const;

  const Model& model_;
  Backend& backend_;
  Options options_;
  Arena arena_;
  std::unique_ptr<KvPool> pool_;
  int pages_each_ = 0;
  int length_ = 0;
};

// A tensor's values on the host, in its row-major order, as f32.
std::vector<float> to_host(Ctx& cx, const Tensor& t);

}  // namespace qw::apps
