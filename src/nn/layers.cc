#include "nn/layers.h"

#include "ops/gather_rows.h"

namespace qw::nn {

Tensor wanted_rows(Ctx& cx, const Tensor& x, const Batch& batch) {
  if (batch.logit_rows.size() == batch.ids.size()) return x;
  return ops::gather_rows(cx, x, cx.arena.upload(batch.logit_rows));
}

}  // namespace qw::nn
