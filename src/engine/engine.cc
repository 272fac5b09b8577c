#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "core/kv_pool.h"
#include "engine/borders.h"
#include "engine/model_drafter.h"
#include "engine/mtp_drafter.h"
#include "engine/step_batch.h"
#include "ops/gather_rows.h"
#include "ops/linear.h"

namespace qw {
namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

// A request on its way. Times are set as they come; the epoch stands for "not yet".
struct Engine::Generation {
  Sequence seq;
  Request request;
  EventSink sink;
  std::shared_ptr<const AdapterSet> adapter;  // null: the base model, or one that is not there
  TokenHistory history;
  Clock::time_point submitted, admitted, first_token, last_token;

  int n_answer() const { return seq.n_tokens() - seq.n_prompt; }
};

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<const Model> model, Backend& backend,
                                               const EngineOptions& options) {
  QW_CHECK(backend.real() == DType::f32, "an engine on a backend of {}", traits(backend.real()).name);
  QW_TRY(const EngineLimits limits, engine_limits(*model, backend.real(), options));
  const KvPoolOptions pages{limits.n_pages, limits.n_slots + limits.n_draft_slots, options.kv_dtype};
  QW_TRY(std::unique_ptr<KvPool> pool, KvPool::create(backend, model->cache_spec(), pages));
  std::unique_ptr<Drafter> drafter;
  if (options.draft == DraftSource::ngram) drafter = std::make_unique<NgramDrafter>();
  if (options.draft == DraftSource::model) {
    QW_TRY(drafter,
           ModelDrafter::create(options.draft_model, backend, limits, options.kv_dtype, model->info().vocab));
  }
  return std::unique_ptr<Engine>(
      new Engine(std::move(model), backend, options, limits, std::move(pool), std::move(drafter)));
}

Engine::Engine(std::shared_ptr<const Model> model, Backend& backend, const EngineOptions& options,
               const EngineLimits& limits, std::unique_ptr<KvPool> pool, std::unique_ptr<Drafter> drafter)
    : model_(std::move(model)),
      backend_(backend),
      limits_(limits),
      trace_(options.trace),
      pool_(std::move(pool)),
      kv_({limits.n_pages, limits.n_slots, options.prefix_cache, limits.n_draft_slots}),
      scheduler_({limits.max_batch_tokens, limits.max_seqs, limits.snapshot_every,
                  [this](SeqId id) { return has_sound_state(id); }},
                 kv_),
      arena_(backend) {
  stats_.free_pages = limits.n_pages;
  if (options.draft == DraftSource::mtp)
    drafter = std::make_unique<MtpDrafter>(*model_, backend_, kv_, *pool_, arena_);
  if (drafter)
    speculation_ = std::make_unique<Speculation>(std::move(drafter), limits.max_draft, options.draft_adapts);
  thread_ = std::thread([this] { run(); });
}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

RequestId Engine::submit(Request request, EventSink sink) {
  auto g = std::make_unique<Generation>();
  const RequestId id = next_id_++;
  g->seq.id = id;
  g->seq.key = request.key;
  g->seq.tokens = std::exchange(request.ids, {});
  g->seq.n_prompt = g->seq.n_tokens();
  g->seq.key.prompt_class = model_->prompt_class(g->seq.n_prompt);
  g->request = std::move(request);
  g->sink = std::move(sink);
  g->submitted = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, adapter] : adapters_)
      if (adapter.id == g->seq.key.adapter) g->adapter = adapter.set;
    inbox_.submitted.push_back(std::move(g));
  }
  wake_.notify_one();
  return id;
}

void Engine::cancel(RequestId id) {
  {
    const std::lock_guard lock(mutex_);
    inbox_.cancelled.push_back(id);
  }
  wake_.notify_one();
}

Result<uint64_t> Engine::add_adapter(const std::string& name, std::shared_ptr<const AdapterSet> set) {
  QW_CHECK(set != nullptr);
  const std::lock_guard lock(mutex_);
  if (adapters_.contains(name)) return fail("engine.adapter_exists", {{"name", name}});
  adapters_.emplace(name, Adapter{++last_adapter_, std::move(set)});
  return last_adapter_;
}

bool Engine::drop_adapter(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return adapters_.erase(name) > 0;
}

std::map<std::string, uint64_t> Engine::adapters() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, uint64_t> out;
  for (const auto& [name, adapter] : adapters_) out.emplace(name, adapter.id);
  return out;
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

// Takes in what other threads sent; false where the engine must end.
bool Engine::receive(bool wait) {
  Inbox in;
  bool stop = false;
  {
    std::unique_lock lock(mutex_);
    if (wait) wake_.wait(lock, [&] { return stop_ || !inbox_.empty(); });
    in = std::exchange(inbox_, {});
    stop = stop_;
  }
  for (auto& g : in.submitted) start(std::move(g));
  for (const RequestId id : in.cancelled) cancel_now(id);
  return !stop;
}

void Engine::run() {
  while (receive(scheduler_.idle()))
    if (!scheduler_.idle()) step();
  std::vector<RequestId> all;
  for (const auto& [id, g] : live_) all.push_back(id);
  std::sort(all.begin(), all.end());
  for (const RequestId id : all) cancel_now(id);
}

Status Engine::check(const Generation& g) const {
  const int vocab = model_->info().vocab;
  if (g.seq.key.adapter != 0 && !g.adapter)
    return fail("engine.unknown_adapter", {{"adapter", g.seq.key.adapter}});
  if (g.seq.tokens.empty()) return fail("engine.empty_prompt");
  for (const int32_t id : g.seq.tokens)
    if (id < 0 || id >= vocab) return fail("engine.bad_id", {{"id", id}, {"vocab", vocab}});
  if (g.seq.tokens.size() >= static_cast<size_t>(limits_.ctx_tokens))
    return fail("engine.prompt_too_long", {{"tokens", g.seq.tokens.size()}, {"limit", limits_.ctx_tokens}});
  return check_sampling(g.request.sampling, vocab);
}

void Engine::start(std::unique_ptr<Generation> owned) {
  Generation& g = *owned;
  live_.emplace(g.seq.id, std::move(owned));
  if (Status ok = check(g); !ok) {
    finish(g, FinishReason::error, std::move(ok).error());
  } else if (g.request.max_new_tokens == 0) {
    finish(g, FinishReason::length);
  } else {
    if (kv_.wants_snapshots())
      g.seq.borders = state_borders(g.seq.tokens, g.request.stop_ids, limits_.n_snapshots() / 2);
    if (g.request.sampling.needs_history()) g.history.add_prompt(g.seq.tokens);
    scheduler_.add(g.seq);
  }
}

void Engine::step() {
  const StepPlan plan = scheduler_.plan();
  const Clock::time_point now = Clock::now();
  for (const SeqId id : plan.admitted) {
    Generation& g = *live_.at(id);
    if (g.seq.n_admissions == 1) g.admitted = now;
  }
  if (speculation_)
    for (const SeqId id : plan.preempted) speculation_->forget(id);
  run_state_ops(*pool_, plan.state_ops);
  compute(plan);
  const bool decodes = std::all_of(plan.items.begin(), plan.items.end(), [](const StepPlan::Item& item) {
    return item.sample && item.sure() == 1;
  });
  if (speculation_ && decodes) speculation_->saw_step(plan.n_tokens(), seconds(now, Clock::now()));
  count(plan);
  refuse_states(plan);
  scheduler_.commit(plan);
  receive(false);  // who was cancelled during the forward pass gets no more tokens
  sample(plan);
  draft(plan);
}

// A request whose state has met a number that is not finite ends before the prefix cache takes the state.
void Engine::refuse_states(const StepPlan& plan) {
  for (const StepPlan::Item& item : plan.items) {
    if (item.saves.empty()) continue;
    const StateSave& last = item.saves.back();  // what a state has met it does not get rid of
    if (!pool_->slot_is_finite(last.slot))
      finish(*live_.at(item.seq), FinishReason::error,
             Error("engine.non_finite", {{"position", last.n_tokens}}));
  }
}

// What close() would put into the prefix cache is finite.
bool Engine::has_sound_state(SeqId id) {
  return !kv_.wants_snapshots() || !kv_.is_open(id) || !kv_.state_is_current(id) ||
         pool_->slot_is_finite(kv_.slot(id));
}

void Engine::compute(const StepPlan& plan) {
  const int n_groups = static_cast<int>(pool_->groups().size());
  auto find = [&](SeqId id) -> const Sequence& { return live_.at(id)->seq; };
  Batch batch = make_batch(plan, find, kv_, n_groups);
  batch.plan.pool = pool_.get();
  arena_.reset();
  Ctx cx{backend_, arena_};
  if (trace_) cx.trace = &trace_;
  const AdapterMap adapters = make_adapter_map(plan, [&](SeqId id) { return live_.at(id)->adapter; });
  if (!adapters.empty()) cx.adapters = &adapters;
  const Tensor logits = wants_features() ? forward_with_features(cx, batch) : model_->forward(cx, batch);
  logits_.resize(static_cast<size_t>(logits.elements()));  // [R, V]
  if (!logits_.empty()) backend_.download(logits_.data(), logits);
}

bool Engine::wants_features() const {
  return speculation_ && speculation_->drafter().wants_features();
}

// As Model::forward, and the features of all rows stay until the next step.
Tensor Engine::forward_with_features(Ctx& cx, const Batch& batch) {
  Batch all = batch;
  all.logit_rows.resize(all.ids.size());
  std::iota(all.logit_rows.begin(), all.logit_rows.end(), 0);
  features_ = model_->features(cx, all);
  const Tensor x = ops::gather_rows(cx, features_, arena_.upload(batch.logit_rows));
  if (cx.adapters == nullptr) return ops::linear(cx, x, model_->head());
  const AdapterMap adapters = adapters_of_rows(*cx.adapters, batch.logit_rows);
  Ctx rows = cx;
  rows.adapters = &adapters;
  return ops::linear(rows, x, model_->head());
}

void Engine::sample(const StepPlan& plan) {
  const auto vocab = static_cast<size_t>(model_->info().vocab);
  size_t row = 0;
  for (const StepPlan::Item& item : plan.items) {
    if (!item.sample) continue;
    const auto n = static_cast<size_t>(item.drafted) + 1;
    const std::span<const float> logits = std::span(logits_).subspan(vocab * row, vocab * n);
    row += n;
    const auto it = live_.find(item.seq);
    if (it != live_.end()) verify(*it->second, item, logits);  // else cancelled meanwhile
  }
}

// Samples the token after the last sure one and, as long as the drafted tokens are those sampled, the ones
// after them: each with the logits, the history and the random number that it would have alone. `g` may have
// ended afterwards.
void Engine::verify(Generation& g, const StepPlan::Item& item, std::span<const float> logits) {
  const auto vocab = static_cast<size_t>(model_->info().vocab);
  std::vector<Sampled> tokens;
  std::optional<Error> error;
  std::optional<FinishReason> end;
  int accepted = 0;
  for (int i = 0; i <= item.drafted; ++i) {
    Result<Sampled> token =
        sampler_.sample(logits.subspan(vocab * static_cast<size_t>(i), vocab), g.request.sampling, g.history,
                        static_cast<uint64_t>(g.seq.n_tokens() + i));
    if (!token) {
      error = std::move(token).error();
      break;
    }
    if (g.request.sampling.needs_history()) g.history.add_answer(token->id);
    tokens.push_back(*std::move(token));
    end = end_at(g, tokens.back().id, g.n_answer() + i + 1);
    if (end || i == item.drafted || g.seq.draft[static_cast<size_t>(i)] != tokens.back().id) break;
    ++accepted;
  }
  if (item.drafted > 0) {
    scheduler_.accept(g.seq, accepted);
    speculation_->saw_verdict(g.seq.id, item.drafted, accepted);
    const std::lock_guard lock(mutex_);
    stats_.drafted_tokens += item.drafted;
    stats_.accepted_drafts += accepted;
    stats_.decode_tokens += accepted;
  }
  for (size_t i = 0; i < tokens.size(); ++i)
    take_token(g, std::move(tokens[i]), i + 1 == tokens.size() ? end : std::nullopt);
  if (error) finish(g, FinishReason::error, std::move(error));
}

// Why the answer ends with `id`, its token number `n_answer`, if it does.
std::optional<FinishReason> Engine::end_at(const Generation& g, int32_t id, int n_answer) const {
  const Request& r = g.request;
  const bool stops = std::find(r.stop_ids.begin(), r.stop_ids.end(), id) != r.stop_ids.end();
  if (stops && !r.ignore_eos) return FinishReason::stop;
  if (n_answer == r.max_new_tokens || g.seq.n_prompt + n_answer == limits_.ctx_tokens)
    return FinishReason::length;
  return std::nullopt;
}

void Engine::take_token(Generation& g, Sampled token, std::optional<FinishReason> end) {
  g.last_token = Clock::now();
  if (g.n_answer() == 0) g.first_token = g.last_token;
  g.seq.tokens.push_back(token.id);
  Event event;
  event.request = g.seq.id;
  event.token = std::move(token);
  g.sink(std::move(event));
  if (end) finish(g, *end);
}

// Drafts for those that decode next, not beyond what they may still say.
void Engine::draft(const StepPlan& plan) {
  if (!speculation_) return;
  const auto running = [&](SeqId id) -> const Sequence* {
    const auto it = live_.find(id);
    return it == live_.end() || it->second->seq.state != SeqState::running ? nullptr : &it->second->seq;
  };
  if (wants_features()) speculation_->drafter().see(plan, features_, running);
  std::vector<DraftTask> tasks;
  for (const auto& [id, g] : live_) {
    const Sequence& s = g->seq;
    if (s.state != SeqState::running || s.pending() != 1 || g->n_answer() == 0) continue;
    const int room = limits_.ctx_tokens - s.n_tokens(), most = g->request.max_new_tokens - g->n_answer();
    const int depth = (g->request.max_new_tokens < 0 ? room : std::min(room, most)) - 1;
    tasks.push_back({&s, &g->request.sampling, &g->history, depth});
  }
  std::sort(tasks.begin(), tasks.end(),
            [](const DraftTask& a, const DraftTask& b) { return a.seq->id < b.seq->id; });
  speculation_->propose(tasks);
  for (DraftTask& t : tasks) live_.at(t.seq->id)->seq.draft = std::move(t.out);
}

void Engine::cancel_now(RequestId id) {
  const auto it = live_.find(id);
  if (it != live_.end()) finish(*it->second, FinishReason::cancelled);
}

// The one place where a request ends: frees what it holds, says so once, forgets it.
void Engine::finish(Generation& g, FinishReason reason, std::optional<Error> error) {
  const bool finite = (!error || error->code() != "engine.non_finite") && has_sound_state(g.seq.id);
  if (!finite && !error && reason != FinishReason::cancelled) {
    reason = FinishReason::error;
    error = Error("engine.non_finite", {{"position", g.seq.n_computed}});
  }
  scheduler_.remove(g.seq, finite);
  if (speculation_) speculation_->forget(g.seq.id);
  {
    const std::lock_guard lock(mutex_);
    set_gauges();
  }
  Event event;
  event.kind = Event::Kind::finished;
  event.request = g.seq.id;
  event.reason = reason;
  event.error = std::move(error);
  event.usage = {g.seq.n_prompt, g.seq.n_cached, g.n_answer()};
  event.reuse = g.seq.reuse;
  const Clock::time_point none{};
  if (g.admitted != none) event.timing.queued_s = seconds(g.submitted, g.admitted);
  if (g.first_token != none) {
    event.timing.first_token_s = seconds(g.submitted, g.first_token);
    event.timing.prefill_s = seconds(g.admitted, g.first_token);
    event.timing.decode_s = seconds(g.first_token, g.last_token);
  }
  const auto node = live_.extract(g.seq.id);  // g lives until this function returns
  g.sink(std::move(event));
}

void Engine::count(const StepPlan& plan) {
  int64_t prompt = 0, decode = 0, cached = 0;
  for (const StepPlan::Item& item : plan.items) {
    (live_.at(item.seq)->n_answer() > 0 && item.sure() == 1 ? decode : prompt) += item.sure();
    const bool admitted =
        std::find(plan.admitted.begin(), plan.admitted.end(), item.seq) != plan.admitted.end();
    if (admitted) cached += item.begin;
  }
  const std::lock_guard lock(mutex_);
  ++stats_.steps;
  stats_.prompt_tokens += prompt;
  stats_.decode_tokens += decode;
  stats_.cached_tokens += cached;
  stats_.preemptions += static_cast<int64_t>(plan.preempted.size());
  set_gauges();
}

// mutex_ is held.
void Engine::set_gauges() {
  stats_.running = scheduler_.n_running();
  stats_.waiting = scheduler_.n_waiting();
  stats_.free_pages = kv_.free_pages();
  stats_.cached_pages = kv_.cached_pages();
  stats_.owned_pages = kv_.owned_pages();
  stats_.snapshots = kv_.snapshots();
}

}  // namespace qw
