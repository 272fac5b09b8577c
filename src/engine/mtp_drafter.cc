#include "engine/mtp_drafter.h"

#include <algorithm>

#include "engine/step_batch.h"
#include "ops/gather_rows.h"
#include "ops/linear.h"

namespace qw {

// `batch`: ids are those after the positions.
Tensor MtpDrafter::run(Batch& batch, const Tensor& hidden) {
  batch.plan.pool = &pool_;
  Ctx cx{backend_, arena_};
  return model_.mtp_features(cx, hidden, batch);
}

void MtpDrafter::see(const StepPlan& plan, const Tensor& features, const FindRunning& find) {
  fed_ = {};
  StepPlan mine;
  std::vector<int32_t> rows, next;
  int32_t first = 0;
  for (const StepPlan::Item& item : plan.items) {
    const Sequence* s = find(item.seq);
    const int n = s == nullptr ? 0 : s->n_computed - item.begin;  // without the refused ones
    for (int i = 0; i < n; ++i) {
      rows.push_back(first + i);
      next.push_back(s->tokens[static_cast<size_t>(item.begin + i + 1)]);
    }
    if (n > 0) {
      mine.items.push_back({.seq = item.seq, .begin = item.begin, .count = n, .sample = true});
      fed_.ids.push_back(item.seq);
    }
    first += item.count;
  }
  if (rows.empty()) return;
  Batch batch = make_batch(
      mine, [&](SeqId id) -> const Sequence& { return *find(id); }, kv_,
      static_cast<int>(pool_.groups().size()));
  batch.ids = std::move(next);
  Ctx cx{backend_, arena_};
  const bool all = static_cast<int64_t>(rows.size()) == features.dim(0);
  fed_.features = run(batch, all ? features : ops::gather_rows(cx, features, arena_.upload(rows)));
}

void MtpDrafter::propose(std::span<DraftTask> tasks) {
  std::vector<DraftTask*> active;
  std::vector<int32_t> rows;
  for (DraftTask& t : tasks) {
    const auto it = std::find(fed_.ids.begin(), fed_.ids.end(), t.seq->id);
    if (t.depth <= 0 || it == fed_.ids.end()) continue;
    if (!kv_.reserve(t.seq->id, t.seq->n_tokens() + t.depth)) t.depth = 1;
    active.push_back(&t);
    rows.push_back(static_cast<int32_t>(it - fed_.ids.begin()));
  }
  if (active.empty()) return;
  Ctx cx{backend_, arena_};
  Tensor hidden = ops::gather_rows(cx, fed_.features, arena_.upload(rows));
  draw(active, hidden);
  for (int n = 1;; ++n) {  // drafted so far
    std::vector<int32_t> kept;
    StepPlan plan;
    std::vector<Sequence> texts;
    for (size_t i = 0; i < active.size(); ++i) {
      const DraftTask& t = *active[i];
      if (static_cast<int>(t.out.size()) < n || t.depth <= n) continue;
      kept.push_back(static_cast<int32_t>(i));
      plan.items.push_back(
          {.seq = t.seq->id, .begin = t.seq->n_tokens() - 2 + n, .count = 1, .sample = true});
      texts.emplace_back();
      texts.back().id = t.seq->id;
      texts.back().tokens = t.seq->tokens;
      texts.back().tokens.insert(texts.back().tokens.end(), t.out.begin(), t.out.end());
    }
    if (kept.empty()) return;
    const auto text = [&](SeqId id) -> const Sequence& {
      return *std::find_if(texts.begin(), texts.end(), [&](const Sequence& s) { return s.id == id; });
    };
    Batch batch = make_batch(plan, text, kv_, static_cast<int>(pool_.groups().size()));
    for (size_t i = 0; i < kept.size(); ++i) batch.ids[i] = texts[i].tokens.back();
    if (kept.size() < active.size()) hidden = ops::gather_rows(cx, hidden, arena_.upload(kept));
    std::vector<DraftTask*> left;
    for (const int32_t i : kept) left.push_back(active[static_cast<size_t>(i)]);
    active = std::move(left);
    hidden = run(batch, hidden);
    draw(active, hidden);
  }
}

void MtpDrafter::draw(std::span<DraftTask* const> tasks, const Tensor& features) {
  Ctx cx{backend_, arena_};
  const Arena::Mark mark = arena_.mark();                          // logits are the largest of it
  const Tensor logits = ops::linear(cx, features, model_.head());  // [n, V]
  std::vector<float> all(static_cast<size_t>(logits.elements()));
  backend_.download(all.data(), logits);
  arena_.rewind(mark);
  const auto vocab = static_cast<size_t>(model_.info().vocab);
  for (size_t i = 0; i < tasks.size(); ++i) {
    const auto id = sampler_.draw(*tasks[i], std::span<const float>(all).subspan(i * vocab, vocab));
    if (id) tasks[i]->out.push_back(*id);
  }
}

}  // namespace qw
