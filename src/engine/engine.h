// Engine: the loop that answers requests: admit → plan → Batch → forward → sample → events, on one thread of
// its own. The promise to a client: exactly one terminal event a request, whatever happens to it, and the
// same tokens whatever else runs beside it. Test: tests/engine/engine_test.cc, tests/engine/threads_test.cc
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/options.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "engine/speculation.h"

namespace qw {

// Counts since the start.
struct EngineStats {
  int64_t steps = 0;
  int64_t prompt_tokens = 0;  // computed in prompts (recomputed ones too)
  int64_t decode_tokens = 0;
  int64_t cached_tokens = 0;  // taken from the prefix cache
  int64_t preemptions = 0;
  int64_t drafted_tokens = 0, accepted_drafts = 0;
  int running = 0, waiting = 0;
  int free_pages = 0, cached_pages = 0, owned_pages = 0;
  int snapshots = 0;  // of recurrent state, in the prefix cache
};

class Engine {
 public:
  // `backend` must outlive the engine and be left to its thread alone. Errors: as engine_limits, and
  // memory.exhausted.
  static Result<std::unique_ptr<Engine>> create(std::shared_ptr<const Model> model, Backend& backend,
                                                const EngineOptions& options);
  // Ends what still runs or waits, each with a terminal event (cancelled), before it returns.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Thread-safe. A request that cannot be answered gets its error as terminal event: engine.empty_prompt,
  // engine.bad_id (args id, vocab), engine.prompt_too_long (args tokens, limit), engine.bad_parameter,
  // engine.unknown_adapter (adapter), engine.non_finite.
  RequestId submit(Request request, EventSink sink);
  // Thread-safe. The terminal event is `cancelled`, unless another one was on its way; no request of that
  // name: nothing happens.
  void cancel(RequestId id);

  // Thread-safe. `set` (made for this model, in the memory of the engine's backend) serves from now on, under
  // the number that is answered, for Request.key.adapter: never 0 and never given twice, so that a prefix
  // cached under one adapter is never found under another. Errors: engine.adapter_exists (args name).
  Result<uint64_t> add_adapter(const std::string& name, std::shared_ptr<const AdapterSet> set);
  // Thread-safe. Requests submitted before keep the adapter to their end. False: no adapter of that name.
  bool drop_adapter(const std::string& name);
  // Thread-safe. Name → number.
  std::map<std::string, uint64_t> adapters() const;

  EngineStats stats() const;
  // Tokens of prompt and answer together; a prompt must be shorter.
  int context_tokens() const { return limits_.ctx_tokens; }

 private:
  struct Generation;
  struct Inbox {
    std::vector<std::unique_ptr<Generation>> submitted;
    std::vector<RequestId> cancelled;
    bool empty() const { return submitted.empty() && cancelled.empty(); }
  };

  Engine(std::shared_ptr<const Model> model, Backend& backend, const EngineOptions& options,
         const EngineLimits& limits, std::unique_ptr<KvPool> pool, std::unique_ptr<Drafter> drafter);
  void run();
  bool receive(bool wait);
  void start(std::unique_ptr<Generation> g);
  Status check(const Generation& g) const;
  void step();
  void refuse_states(const StepPlan& plan);
  bool has_sound_state(SeqId id);
  void compute(const StepPlan& plan);
  void cancel_now(RequestId id);
  void sample(const StepPlan& plan);
  void verify(Generation& g, const StepPlan::Item& item, std::span<const float> logits);
  void take_token(Generation& g, Sampled token, std::optional<FinishReason> end);
  std::optional<FinishReason> end_at(const Generation& g, int32_t id, int n_answer) const;
  void draft(const StepPlan& plan);
  bool wants_features() const;
  Tensor forward_with_features(Ctx& cx, const Batch& batch);
  void finish(Generation& g, FinishReason reason, std::optional<Error> error = std::nullopt);
  void count(const StepPlan& plan);
  void set_gauges();

  const std::shared_ptr<const Model> model_;
  Backend& backend_;
  const EngineLimits limits_;
  const Trace trace_;
  const std::unique_ptr<KvPool> pool_;

  // The engine thread's own.
  KvManager kv_;
  Scheduler scheduler_;
  Sampler sampler_;
  std::unique_ptr<Speculation> speculation_;  // null: none
  Arena arena_;
  std::vector<float> logits_;  // [R, V] of the step
  Tensor features_;            // [T, D] of the step, where the drafter wants them
  std::unordered_map<RequestId, std::unique_ptr<Generation>> live_;

  std::atomic<RequestId> next_id_{1};
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  Inbox inbox_;
  struct Adapter {
    uint64_t id;
    std::shared_ptr<const AdapterSet> set;
  };
  std::map<std::string, Adapter> adapters_;
  uint64_t last_adapter_ = 0;
  bool stop_ = false;
  EngineStats stats_;
  std::thread thread_;
};

}  // namespace qw
