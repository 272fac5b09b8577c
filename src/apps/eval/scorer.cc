#include "apps/eval/scorer.h"

#include <algorithm>
#include <cmath>

#include "apps/document_runner.h"
#include "ops/linear.h"

namespace qw::eval {
namespace {

constexpr size_t kStepRows = 512;    // of one forward step, unless one sequence has more
constexpr int64_t kLogitRows = 128;  // bounds the memory for logits [128, V]

size_t n_scored(const Sequence& s) {
  return s.ids.size() - s.scored_from;
}

Result<double> sum_of(const Sequence& s, const float* losses) {
  double sum = 0;
  for (size_t i = 0; i < n_scored(s); ++i) {
    if (!std::isfinite(losses[i])) return fail("engine.non_finite", {{"position", s.scored_from + i}});
    sum -= static_cast<double>(losses[i]);
  }
  return sum;
}

}  // namespace

// −log p of the scored ids, sequence after sequence.
std::vector<float> Scorer::losses(Ctx& cx, std::span<const Sequence> sequences) const {
  std::vector<std::vector<int32_t>> documents;
  for (const Sequence& s : sequences) documents.push_back(s.ids);
  Batch batch = dense_batch(documents);
  batch.logit_rows.clear();
  std::vector<int32_t> targets;
  int32_t begin = 0;
  for (const Sequence& s : sequences) {
    for (size_t i = s.scored_from; i < s.ids.size(); ++i) {
      batch.logit_rows.push_back(begin + static_cast<int32_t>(i) - 1);
      targets.push_back(s.ids[i]);
    }
    begin += static_cast<int32_t>(s.ids.size());
  }
  AdapterMap adapters;
  if (adapter_ != nullptr) {
    adapters = {{0, batch.n_rows(), adapter_}};
    cx.adapters = &adapters;
  }
  const Tensor features = model_.features(cx, batch);  // [R, D]
  std::vector<float> out(targets.size());
  const auto n = static_cast<int64_t>(targets.size());
  for (int64_t row = 0; row < n; row += kLogitRows) {
    const int64_t rows = std::min(kLogitRows, n - row);
    const Arena::Mark mark = cx.arena.mark();
    if (adapter_ != nullptr) adapters = {{0, rows, adapter_}};
    const Tensor logits = ops::linear(cx, features.slice(0, row, rows), model_.head());  // [rows, V]
    const Tensor loss = cx.arena.alloc({rows}, cx.backend.real());
    cx.backend.cross_entropy(
        loss, logits,
        cx.arena.upload(std::span(targets).subspan(static_cast<size_t>(row), static_cast<size_t>(rows))));
    cx.backend.download(out.data() + row, loss);
    cx.arena.rewind(mark);
  }
  return out;
}

Result<std::vector<float>> Scorer::step(std::span<const Sequence> sequences) {
  size_t n_ids = 0, scored = 0;
  for (const Sequence& s : sequences) {
    n_ids += s.ids.size();
    scored += n_scored(s);
  }
  if (n_ids > fits_ids_ || scored > fits_scored_) {
    QW_TRY(apps::check_step_fits(backend_.real(), [&](Ctx& cx) { losses(cx, sequences); }));
    fits_ids_ = std::max(fits_ids_, n_ids);
    fits_scored_ = std::max(fits_scored_, scored);
  }
  arena_.reset();
  Ctx cx{backend_, arena_};
  return losses(cx, sequences);
}

Status Scorer::score(std::span<const Sequence> sequences, const Done& done) {
  for (size_t begin = 0; begin < sequences.size();) {
    size_t end = begin + 1, rows = sequences[begin].ids.size();
    while (end < sequences.size() && rows + sequences[end].ids.size() <= kStepRows)
      rows += sequences[end++].ids.size();
    const Result<std::vector<float>> all = step(sequences.subspan(begin, end - begin));
    for (size_t at = 0; begin < end; ++begin) {
      const Sequence& s = sequences[begin];
      QW_TRY(done(begin, all ? sum_of(s, all->data() + at) : Result<double>(tl::unexpect, all.error())));
      at += n_scored(s);
    }
  }
  return {};
}

}  // namespace qw::eval
