#include "engine/scheduler.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <span>

namespace qw {
namespace {

bool older(const Sequence* a, const Sequence* b) {
  return a->id < b->id;
}

StepPlan::Item* item_of(StepPlan& plan, SeqId id) {
  const auto it = std::find_if(plan.items.begin(), plan.items.end(),
                               [&](const StepPlan::Item& item) { return item.seq == id; });
  return it == plan.items.end() ? nullptr : &*it;
}

std::span<const int32_t> computed(const Sequence& seq) {
  return std::span(seq.tokens).first(static_cast<size_t>(seq.n_computed));
}

}  // namespace

int StepPlan::n_tokens() const {
  return std::accumulate(items.begin(), items.end(), 0,
                         [](int n, const Item& item) { return n + item.count; });
}

Scheduler::Scheduler(const SchedulerOptions& options, KvManager& kv) : options_(options), kv_(kv) {
  QW_CHECK(options.max_seqs >= 1 && options.max_batch_tokens >= options.max_seqs,
           "{} tokens a step for {} sequences", options.max_batch_tokens, options.max_seqs);
  QW_CHECK(kv.options().n_slots == 0 || kv.options().n_slots >= options.max_seqs, "{} slots for {} sequences",
           kv.options().n_slots, options.max_seqs);
}

void Scheduler::add(Sequence& seq) {
  QW_CHECK(seq.state == SeqState::waiting && seq.pending() > 0, "sequence {} is not waiting", seq.id);
  std::deque<Sequence*>& queue = waiting_[seq.key.tenant];
  if (queue.empty()) ring_.push_back(seq.key.tenant);
  queue.push_back(&seq);
}

void Scheduler::remove(Sequence& seq, bool sound) {
  if (seq.state == SeqState::running) {
    if (sound)
      kv_.close(seq.id, computed(seq), true);
    else
      kv_.discard(seq.id);
    std::erase(running_, &seq);
  } else if (const auto it = waiting_.find(seq.key.tenant); it != waiting_.end()) {
    std::erase(it->second, &seq);
    if (it->second.empty()) {
      waiting_.erase(it);
      std::erase(ring_, seq.key.tenant);
    }
  }
  seq.move_to(SeqState::finished);
}

int Scheduler::n_waiting() const {
  size_t n = 0;
  for (const auto& [tenant, queue] : waiting_) n += queue.size();
  return static_cast<int>(n);
}

Sequence* Scheduler::find_running(SeqId id) const {
  const auto it =
      std::find_if(running_.begin(), running_.end(), [&](const Sequence* s) { return s->id == id; });
  return it == running_.end() ? nullptr : *it;
}

StepPlan Scheduler::plan() {
  Step step;
  step.budget = options_.max_batch_tokens;
  advance_decodes(step);
  step.share = std::max(1, step.budget / std::max(1, tenants_with_prompts()));
  advance_prompts(step);
  admit(step, true);
  extend_prompts(step);
  admit(step, false);
  for (StepPlan::Item& item : step.plan.items) {
    item.saves =
        kv_.begin_step(item.seq, borders_in(*find_running(item.seq), item.begin, item.begin + item.count));
    add_drafts(step, item);
  }
  return std::move(step.plan);
}

void Scheduler::advance_decodes(Step& step) {
  const std::vector<Sequence*> order = running_;  // preemption changes running_
  for (Sequence* s : order) {
    if (s->state == SeqState::running && s->pending() == 1 && make_room(step, *s, s->n_tokens()))
      give(step, *s, 1);
  }
}

// Every running prompt advances by at least one token; more as its tenant's share and the pages allow.
void Scheduler::advance_prompts(Step& step) {
  const std::vector<Sequence*> order = running_;
  auto is_prompt = [](const Sequence* s) { return s->state == SeqState::running && s->pending() > 1; };
  for (size_t i = 0; i < order.size(); ++i) {
    Sequence& s = *order[i];
    if (!is_prompt(&s) || !make_room(step, s, s.n_computed + 1)) continue;
    const auto later = std::count_if(order.begin() + static_cast<ptrdiff_t>(i) + 1, order.end(), is_prompt);
    const int cap =
        std::min(step.budget - static_cast<int>(later), step.share - step.prompt_tokens[s.key.tenant]);
    give(step, s, std::max(1, std::min(cap, affordable(s))));
  }
}

// What the shares left over, oldest first.
void Scheduler::extend_prompts(Step& step) {
  for (StepPlan::Item& item : step.plan.items) {
    const Sequence& s = *find_running(item.seq);
    if (step.budget == 0 || item.sample) continue;
    const int more = std::min(item.count + step.budget, affordable(s)) - item.count;
    if (more <= 0) continue;
    QW_CHECK(kv_.reserve(s.id, item.begin + item.count + more), "pages that were there are gone");
    item.count += more;
    item.sample = item.begin + item.count == s.n_tokens();
    step.budget -= more;
  }
}

void Scheduler::admit(Step& step, bool keep_to_share) {
  size_t skipped = 0;
  while (step.budget > 0 && n_running() < options_.max_seqs && skipped < ring_.size()) {
    const uint64_t tenant = ring_.front();
    const int cap = keep_to_share ? step.share - step.prompt_tokens[tenant] : step.budget;
    std::deque<Sequence*>& queue = waiting_.at(tenant);
    Sequence& s = *queue.front();
    if (cap > 0) {
      if (!fits(s)) return;
      const Reuse reuse = s.n_admissions == 0 ? kv_.explain(s.key, s.tokens) : Reuse{};
      const std::optional<int> found = kv_.open(s.id, s.key, s.tokens, step.plan.state_ops);
      if (!found) return;
      s.n_computed = *found;
      if (s.n_admissions++ == 0) {
        s.n_cached = *found;
        s.reuse = reuse;
        add_branch(s);
      }
      s.move_to(SeqState::running);
      running_.insert(std::upper_bound(running_.begin(), running_.end(), &s, older), &s);
      step.plan.admitted.push_back(s.id);
      QW_CHECK(kv_.reserve(s.id, s.n_computed + 1), "no page for sequence {}, which fits", s.id);
      give(step, s, std::min({cap, step.budget, affordable(s)}));
      queue.pop_front();
      skipped = 0;
    } else {
      ++skipped;
    }
    ring_.pop_front();
    if (queue.empty())
      waiting_.erase(tenant);
    else
      ring_.push_back(tenant);
  }
}

// Room for all its tokens, the next one, and one more page for each that runs: who enters should not be
// preempted at once. Alone, a sequence always fits.
bool Scheduler::fits(const Sequence& seq) const {
  if (running_.empty()) return true;
  return kv_.page_cost(seq.key, seq.tokens, seq.n_tokens() + 1) + n_running() <= kv_.available_pages();
}

// Pages for the first `n_tokens` of `seq`, preempting the youngest until there are enough; false where that
// was `seq` itself.
bool Scheduler::make_room(Step& step, Sequence& seq, int n_tokens) {
  while (!kv_.reserve(seq.id, n_tokens)) {
    Sequence& youngest = *running_.back();
    QW_CHECK(running_.size() > 1 || &youngest != &seq, "sequence {} of {} tokens does not fit {} pages alone",
             seq.id, n_tokens, kv_.options().n_pages);
    preempt(step, youngest);
    if (&youngest == &seq) return false;
  }
  return true;
}

// Adds up to `n_tokens` of `seq`, for which there are pages, to the step.
void Scheduler::give(Step& step, Sequence& seq, int n_tokens) {
  const int n = std::min(n_tokens, seq.pending());
  QW_CHECK(n >= 1 && n <= step.budget, "a chunk of {} in a budget of {}", n, step.budget);
  QW_CHECK(kv_.reserve(seq.id, seq.n_computed + n), "pages that were there are gone");
  if (seq.pending() > 1) step.prompt_tokens[seq.key.tenant] += n;
  step.plan.items.push_back(
      {.seq = seq.id, .begin = seq.n_computed, .count = n, .sample = n == seq.pending()});
  step.budget -= n;
}

void Scheduler::preempt(Step& step, Sequence& victim) {
  if (const StepPlan::Item* item = item_of(step.plan, victim.id)) {
    step.budget += item->count;
    step.plan.items.erase(step.plan.items.begin() + (item - step.plan.items.data()));
  }
  kv_.close(victim.id, computed(victim), !options_.state_is_sound || options_.state_is_sound(victim.id));
  std::erase(running_, &victim);
  victim.n_computed = 0;
  victim.move_to(SeqState::preempted);
  step.plan.preempted.push_back(victim.id);
  std::deque<Sequence*>& queue = waiting_[victim.key.tenant];
  if (queue.empty()) ring_.push_back(victim.key.tenant);
  queue.push_front(&victim);
}

// Drafted tokens get what everything else has left over, and never go across a border where a snapshot is
// wanted: whether the state there is right would be known too late.
void Scheduler::add_drafts(Step& step, StepPlan::Item& item) {
  Sequence& s = *find_running(item.seq);
  const bool may = item.count == 1 && item.sample && item.saves.empty();
  int n = may ? std::min(static_cast<int>(s.draft.size()), step.budget) : 0;
  if (n > 0) {
    const int pages = static_cast<int>(kv_.pages(s.id).size()) + kv_.available_pages();
    n = std::min(n, pages * kPageTokens - s.n_tokens());
    const std::vector<int> borders = borders_in(s, s.n_tokens(), s.n_tokens() + n);
    if (!borders.empty()) n = borders.front() - s.n_tokens() - 1;
  }
  if (n > 0) n = kv_.begin_drafts(s.id, n);
  s.draft.resize(static_cast<size_t>(n));
  if (n == 0) return;
  QW_CHECK(kv_.reserve(s.id, s.n_tokens() + n), "pages that were there are gone");
  item.count += n;
  item.drafted = n;
  step.budget -= n;
}

// Where a text parts from cached ones, others will part too (a system message that many share): the state
// there is worth keeping.
void Scheduler::add_branch(Sequence& seq) const {
  if (!kv_.wants_snapshots() || seq.reuse.known < seq.reuse.tokens + kPageTokens) return;
  seq.borders.insert(std::lower_bound(seq.borders.begin(), seq.borders.end(), seq.reuse.known),
                     seq.reuse.known);
}

// Where snapshots are wanted among tokens begin … end.
std::vector<int> Scheduler::borders_in(const Sequence& seq, int begin, int end) const {
  if (!kv_.wants_snapshots()) return {};
  const auto first = std::upper_bound(seq.borders.begin(), seq.borders.end(), begin);
  std::vector<int> out(first, std::upper_bound(first, seq.borders.end(), end));
  if (const int every = options_.snapshot_every; every > 0)
    for (int n = (begin / every + 1) * every; n <= end; n += every) out.push_back(n);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

// Tokens of `seq` that the pages it has and the available ones can hold beyond those computed.
int Scheduler::affordable(const Sequence& seq) const {
  const int pages = static_cast<int>(kv_.pages(seq.id).size()) + kv_.available_pages();
  return std::min(pages * kPageTokens, seq.n_tokens()) - seq.n_computed;
}

int Scheduler::tenants_with_prompts() const {
  std::set<uint64_t> tenants(ring_.begin(), ring_.end());
  for (const Sequence* s : running_)
    if (s->pending() > 1) tenants.insert(s->key.tenant);
  return static_cast<int>(tenants.size());
}

void Scheduler::commit(const StepPlan& plan) {
  for (const StepPlan::Item& item : plan.items) {
    Sequence* s = find_running(item.seq);
    if (s == nullptr) continue;
    s->n_computed += item.sure();
    kv_.commit(s->id, computed(*s), s->n_prompt);
  }
}

void Scheduler::accept(Sequence& seq, int n) {
  seq.n_computed += n;
  seq.draft.clear();
  kv_.accept(seq.id, n);
}

}  // namespace qw
