#include "ops/expert_linear.h"

#include <algorithm>

#include "ops/dims.h"
#include "ops/lora.h"

namespace qw::ops {
namespace {

struct Group {
  int64_t begin, n;
};
Group group_of(const RowGroups& groups, size_t expert) {
  return {groups.offsets[expert], groups.offsets[expert + 1] - groups.offsets[expert]};
}

// The adapters of expert e, over its grouped rows.
void find_expert_loras(const Ctx& cx, const RowGroups& groups, const Weight& w, size_t expert,
                       std::vector<LoraUse>& uses) {
  const auto [begin, n] = group_of(groups, expert);
  const std::span<const int32_t> rows(groups.rows);
  AdapterMap map =
      adapters_of_rows(*cx.adapters, rows.subspan(static_cast<size_t>(begin), static_cast<size_t>(n)));
  for (AdapterRange& r : map) {
    r.begin += begin;
    r.end += begin;
  }
  find_loras(cx, map, w, uses);
}

// An expert that no row was sent to learns all the same: its gradient is zero, not absent, so that the
// optimiser's moments go on as in a reference that holds all experts in one tensor.
std::vector<const Weight*> idle_lora_weights(const Ctx& cx, const RowGroups& groups,
                                             std::span<const Weight> w) {
  std::vector<const Weight*> out;
  if (cx.adapters == nullptr) return out;
  for (size_t e = 0; e < w.size(); ++e)
    for (const AdapterRange& range : *cx.adapters)
      if (const Lora* lora = range.set->find(w[e].name); group_of(groups, e).n == 0 && lora != nullptr)
        for (const Weight* part : {&lora->a, &lora->b})
          if (part->trainable) out.push_back(part);
  return out;
}

void check_formats(std::span<const Weight> w) {
  for (const Weight& expert : w)
    QW_CHECK(!expert.trainable || traits(expert.format).is_float,
             "expert_linear: {} is {} and cannot be trained", expert.name, traits(expert.format).name);
}

}  // namespace

Tensor expert_linear(Ctx& cx, const Tensor& x, const Routing& routing, std::span<const Weight> w) {
  const auto& groups = routing.groups;
  Dims d("expert_linear");
  d.arg("x", x, "RK").arg("rows", routing.rows, "R").arg(w.front().name, w.front().shape, "NK");
  QW_CHECK(w.size() + 1 == groups->offsets.size(), "expert_linear: {} weights, routed to {}", w.size(),
           groups->offsets.size() - 1);
  if (cx.inputs != nullptr)
    for (size_t e = 0; e < w.size(); ++e) {
      const Group g = group_of(*groups, e);
      (*cx.inputs)(w[e], x.slice(0, g.begin, g.n));
    }
  Tensor out = cx.alloc({d['R'], d['N']});
  cx.backend.expert_linear(out, x, w, groups->offsets);
  std::vector<LoraUse> uses;
  if (cx.adapters != nullptr)
    for (size_t e = 0; e < w.size(); ++e)
      if (group_of(*groups, e).n > 0) find_expert_loras(cx, *groups, w[e], e, uses);
  for (LoraUse& use : uses) add_lora(cx, out, x, use);

  if (cx.tape == nullptr) return out;
  std::vector<const Weight*> idle = idle_lora_weights(cx, *groups, w);
  const bool learns = std::any_of(w.begin(), w.end(), [](const Weight& e) { return e.trainable; }) ||
                      std::any_of(uses.begin(), uses.end(), trains) || !idle.empty();
  if (!(Tape::wants(x) || learns)) return out;
  check_formats(w);
  cx.tape->record(out, [x, w, groups, uses = std::move(uses), idle = std::move(idle), tape = cx.tape](
                           Ctx& c, const Tensor& dout) {
    const Tensor dx = Tape::wants(x) ? c.alloc(x.shape()) : Tensor();
    for (size_t e = 0; e < w.size(); ++e) {
      const auto [begin, n] = group_of(*groups, e);
      const Tensor dw = tape->weights().of(w[e]);
      if (n == 0) continue;
      const Tensor part = dout.slice(0, begin, n);
      if (dx.defined()) c.backend.linear_dx(dx.slice(0, begin, n), part, w[e]);
      if (dw.defined()) c.backend.linear_dw(dw, part, x.slice(0, begin, n));
    }
    for (const LoraUse& use : uses) lora_backward(c, tape->weights(), use, dout, dx);
    for (const Weight* part : idle) tape->weights().of(*part);
    if (dx.defined()) tape->accumulate(c, x, dx);
  });
  return out;
}

Tensor combine_experts(Ctx& cx, const Tensor& y, const Routing& routing) {
  const Tensor &weights = routing.weights, &places = routing.places;
  Dims d("combine_experts");
  d.arg("y", y, "RD")
      .arg("rows", routing.rows, "R")
      .arg("weights", weights, "Tk")
      .arg("places", places, "Tk");
  Tensor out = cx.alloc({d['T'], d['D']});
  cx.backend.combine_rows(out, y, places, weights);
  if (cx.tape != nullptr && (Tape::wants(y) || Tape::wants(weights)))
    cx.tape->record(out, [y, places, weights, tape = cx.tape](Ctx& c, const Tensor& dout) {
      const Tensor dy = c.alloc(y.shape()), dweights = c.alloc(weights.shape());
      c.backend.combine_rows_backward(dy, dweights, y, places, weights, dout);
      tape->accumulate(c, y, dy);
      tape->accumulate(c, weights, dweights);
    });
  return out;
}

}  // namespace qw::ops
