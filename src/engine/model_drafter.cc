#include "engine/model_drafter.h"

#include <algorithm>

#include "engine/step_batch.h"

namespace qw {
namespace {

int slots_of(const Model& model, const EngineLimits& limits) {
  return KvPool::slot_bytes(model.cache_spec(), DType::f32) > 0 ? limits.max_seqs + kDraftModelSnapshots : 0;
}

}  // namespace

Result<std::unique_ptr<ModelDrafter>> ModelDrafter::create(std::shared_ptr<const Model> model,
                                                           Backend& backend, const EngineLimits& limits,
                                                           DType kv_dtype, int vocab) {
  std::unique_ptr<ModelDrafter> out(new ModelDrafter(std::move(model), backend, limits, vocab));
  const int n_slots = slots_of(*out->model_, limits);
  const KvPoolOptions pages{limits.n_pages, n_slots > 0 ? n_slots + limits.max_seqs : 0, kv_dtype};
  QW_TRY(out->pool_, KvPool::create(backend, out->model_->cache_spec(), pages));
  return out;
}

ModelDrafter::ModelDrafter(std::shared_ptr<const Model> model, Backend& backend, const EngineLimits& limits,
                           int vocab)
    : model_(std::move(model)),
      backend_(backend),
      limits_(limits),
      vocab_(std::min(vocab, model_->info().vocab)),
      kv_({limits.n_pages, slots_of(*model_, limits)}),
      arena_(backend) {}

void ModelDrafter::forget(SeqId id) {
  const auto it = seqs_.find(id);
  if (it == seqs_.end()) return;
  const int32_t slot = kv_.slot(id);
  kv_.close(id, it->second.tokens, slot < 0 || pool_->slot_is_finite(slot));
  seqs_.erase(it);
}

// Opens a sequence that is new; false where there is no room for it, or no word for one of its tokens.
bool ModelDrafter::begin(DraftTask& task, int spare_slot, Guess& guess) {
  const Sequence& s = *task.seq;
  const int room = std::min(limits_.ctx_tokens, model_->info().max_positions) - s.n_tokens();
  task.depth = std::min(task.depth, room);
  if (task.depth <= 0) return false;
  const auto known = seqs_.find(s.id);
  const auto first = s.tokens.begin() + (known == seqs_.end() ? 0 : known->second.n_tokens());
  if (std::any_of(first, s.tokens.end(), [&](int32_t id) { return id >= vocab_; })) return false;
  guess.task = &task;
  guess.text.id = s.id;
  guess.text.tokens = s.tokens;
  guess.slot = spare_slot;
  if (known == seqs_.end()) {
    std::vector<StateOp> ops;
    const PrefixKey key{s.key.tenant, 0};  // adapters are not for this model
    if (kv_.page_cost(key, s.tokens, s.n_tokens() + task.depth) > kv_.available_pages()) return false;
    const std::optional<int> found = kv_.open(s.id, key, s.tokens, ops);
    if (!found) return false;
    seqs_[s.id].tokens.assign(s.tokens.begin(), s.tokens.begin() + *found);
    run_state_ops(*pool_, ops);
  }
  guess.text.n_computed = seqs_.at(s.id).n_tokens();
  return kv_.reserve(s.id, s.n_tokens() + task.depth);
}

void ModelDrafter::propose(std::span<DraftTask> tasks) {
  std::vector<Guess> guesses;
  int spare = kv_.options().n_slots;
  for (DraftTask& t : tasks) {
    Guess guess;
    if (t.depth > 0 && begin(t, spare, guess)) {
      guesses.push_back(std::move(guess));
      ++spare;
    }
  }
  if (guesses.empty() || !catch_up(guesses)) return;
  while (true) {
    std::erase_if(guesses, [](const Guess& g) {
      return static_cast<int>(g.task->out.size()) >= g.task->depth || g.text.pending() == 0;
    });
    if (guesses.empty()) return;
    StepPlan plan;
    for (const Guess& g : guesses)
      plan.items.push_back({.seq = g.text.id, .begin = g.text.n_computed, .count = 1, .sample = true});
    const std::vector<float> logits = forward(plan, guesses, true);
    for (Guess& g : guesses) ++g.text.n_computed;
    draw(guesses, logits);
  }
}

// Computes what the sequences have said since, as far as a step goes; those that are not done then draft
// later. False where none is done.
bool ModelDrafter::catch_up(std::vector<Guess>& guesses) {
  StepPlan plan;
  int budget = limits_.max_batch_tokens;
  for (const Guess& g : guesses) {
    const int n = std::min(g.text.pending(), budget);
    budget -= n;
    if (n > 0)
      plan.items.push_back(
          {.seq = g.text.id, .begin = g.text.n_computed, .count = n, .sample = n == g.text.pending()});
  }
  for (const StepPlan::Item& item : plan.items) kv_.begin_step(item.seq, {});
  const std::vector<float> logits = forward(plan, guesses, false);
  for (Guess& g : guesses) {
    const auto it = std::find_if(plan.items.begin(), plan.items.end(),
                                 [&](const StepPlan::Item& item) { return item.seq == g.text.id; });
    if (it == plan.items.end()) continue;
    g.text.n_computed += it->count;
    std::vector<int32_t>& computed = seqs_.at(g.text.id).tokens;
    computed.assign(g.text.tokens.begin(), g.text.tokens.begin() + g.text.n_computed);
    kv_.commit(g.text.id, computed, -1);
  }
  std::erase_if(guesses, [](const Guess& g) { return g.text.pending() > 0; });
  if (kv_.options().n_slots > 0)
    for (const Guess& g : guesses) pool_->copy_slot(g.slot, kv_.slot(g.text.id));
  draw(guesses, logits);
  return !guesses.empty();
}

// Logits [R, vocab_] of the rows with `sample`.
std::vector<float> ModelDrafter::forward(const StepPlan& plan, std::vector<Guess>& guesses, bool drafting) {
  const auto find = [&](SeqId id) -> const Sequence& {
    return std::find_if(guesses.begin(), guesses.end(), [&](const Guess& g) { return g.text.id == id; })
        ->text;
  };
  Batch batch = make_batch(plan, find, kv_, static_cast<int>(pool_->groups().size()));
  batch.plan.pool = pool_.get();
  if (drafting && kv_.options().n_slots > 0)
    for (size_t i = 0; i < guesses.size(); ++i) batch.plan.state_slots[i] = guesses[i].slot;
  arena_.reset();
  Ctx cx{backend_, arena_};
  const Tensor logits = model_->forward(cx, batch);
  std::vector<float> all(static_cast<size_t>(logits.elements())), out;
  if (!all.empty()) backend_.download(all.data(), logits);
  const auto width = static_cast<ptrdiff_t>(model_->info().vocab);
  for (auto it = all.begin(); it != all.end(); it += width) out.insert(out.end(), it, it + vocab_);
  return out;
}

void ModelDrafter::draw(std::vector<Guess>& guesses, std::span<const float> logits) {
  const auto width = static_cast<size_t>(vocab_);
  for (size_t i = 0; i < guesses.size(); ++i) {
    Guess& g = guesses[i];
    const std::optional<int32_t> id = sampler_.draw(*g.task, logits.subspan(i * width, width));
    if (!id) continue;  // nothing is pending then, and its drafting ends
    g.task->out.push_back(*id);
    g.text.tokens.push_back(*id);
  }
}

}  // namespace qw
