#include "ops/route.h"

#include "ops/dims.h"

namespace qw::ops {
namespace {

// Counting sort of the pairs by expert; `experts` [T, k]. places[i] is where pair i came to.
RowGroups group_rows(const std::vector<int32_t>& experts, int n_experts, int top_k,
                     std::vector<int32_t>& places) {
  RowGroups g;
  g.offsets.assign(static_cast<size_t>(n_experts) + 1, 0);
  for (const int32_t e : experts) ++g.offsets[static_cast<size_t>(e) + 1];
  for (size_t e = 1; e < g.offsets.size(); ++e) g.offsets[e] += g.offsets[e - 1];
  g.rows.resize(experts.size());
  std::vector<int32_t> next(g.offsets.begin(), g.offsets.end() - 1);
  for (size_t i = 0; i < experts.size(); ++i) {
    const int32_t place = next[static_cast<size_t>(experts[i])]++;
    places[i] = place;
    g.rows[static_cast<size_t>(place)] = static_cast<int32_t>(i / static_cast<size_t>(top_k));
  }
  return g;
}

}  // namespace

Routing route(Ctx& cx, const Tensor& logits, int top_k, bool normalise) {
  Dims d("route");
  d.arg("logits", logits, "TE");
  QW_CHECK(top_k >= 1 && top_k <= d['E'], "route: {} of {} experts", top_k, d['E']);
  const Tensor experts = cx.arena.alloc({d['T'], top_k}, DType::i32);
  Routing out;
  out.weights = cx.alloc({d['T'], top_k});
  cx.backend.route(out.weights, experts, logits, normalise);
  std::vector<int32_t> chosen(static_cast<size_t>(experts.elements())), places(chosen.size());
  cx.backend.download(chosen.data(), experts);
  out.groups = std::make_shared<RowGroups>(group_rows(chosen, static_cast<int>(d['E']), top_k, places));
  out.rows = cx.arena.upload(out.groups->rows);
  out.places = cx.arena.upload(places).view(experts.shape());
  if (cx.tape != nullptr && Tape::wants(logits))
    cx.tape->record(out.weights,
                    [logits, experts, normalise, tape = cx.tape](Ctx& c, const Tensor& dweights) {
                      const Tensor dlogits = c.alloc(logits.shape());
                      c.backend.route_backward(dlogits, logits, experts, normalise, dweights);
                      tape->accumulate(c, logits, dlogits);
                    });
  return out;
}

}  // namespace qw::ops
