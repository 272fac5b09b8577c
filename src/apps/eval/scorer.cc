#include "apps/eval/scorer.h"

#include <algorithm>

#include "ops/linear.h"

namespace qw::eval {
namespace {

constexpr size_t kStepRows = 512;    // of one forward step, unless one sequence has more
constexpr int64_t kLogitRows = 128;  // bounds the memory for logits [128, V]

}  // namespace

// −log p of the scored ids, sequence after sequence.
std::vector<float> Scorer::losses(std::span<const Sequence> sequences) {
  arena_.reset();
  Ctx cx{backend_, arena_};
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
    const Arena::Mark mark = arena_.mark();
    if (adapter_ != nullptr) adapters = {{0, rows, adapter_}};
    const Tensor logits = ops::linear(cx, features.slice(0, row, rows), model_.head());  // [rows, V]
    const Tensor loss = arena_.alloc({rows}, backend_.real());
    backend_.cross_entropy(
        loss, logits,
        arena_.upload(std::span(targets).subspan(static_cast<size_t>(row), static_cast<size_t>(rows))));
    backend_.download(out.data() + row, loss);
    arena_.rewind(mark);
  }
  return out;
}

Status Scorer::score(std::span<const Sequence> sequences,
                     const std::function<Status(size_t i, double log_p)>& done) {
  for (size_t begin = 0; begin < sequences.size();) {
    size_t end = begin + 1, rows = sequences[begin].ids.size();
    while (end < sequences.size() && rows + sequences[end].ids.size() <= kStepRows)
      rows += sequences[end++].ids.size();
    const auto part = sequences.subspan(begin, end - begin);
    const std::vector<float> all = losses(part);
    const float* next = all.data();
    for (size_t i = 0; i < part.size(); ++i) {
      double sum = 0;
      for (size_t k = part[i].scored_from; k < part[i].ids.size(); ++k) sum -= static_cast<double>(*next++);
      QW_TRY(done(begin + i, sum));
    }
    begin = end;
  }
  return {};
}

}  // namespace qw::eval
