#include "ops/cross_entropy.h"

#include "ops/dims.h"

namespace qw::ops {

Tensor cross_entropy(Ctx& cx, const Tensor& logits, const std::vector<int32_t>& targets, double weight) {
  const Tensor target = cx.arena.upload(targets);
  Dims d("cross_entropy");
  d.arg("logits", logits, "TV").arg("targets", target, "T");
  const Tensor rows = cx.alloc({d['T']});
  cx.backend.cross_entropy(rows, logits, target);
  Tensor loss = cx.alloc({1});
  cx.backend.sum(loss, rows);
  cx.backend.scale(loss, loss, weight);
  if (cx.tape != nullptr && Tape::wants(logits))
    cx.tape->record(loss, [logits, target, weight, tape = cx.tape](Ctx& c, const Tensor& dout) {
      const Tensor drows = c.alloc({logits.dim(0)});
      c.backend.copy(drows, dout.expand(logits.dim(0)));
      c.backend.scale(drows, drows, weight);
      const Tensor dlogits = c.alloc(logits.shape());
      c.backend.cross_entropy_backward(dlogits, logits, target, drows);
      tape->accumulate(c, logits, dlogits);
    });
  return loss;
}

}  // namespace qw::ops
