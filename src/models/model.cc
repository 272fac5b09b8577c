#include "models/model.h"

#include "ops/linear.h"

namespace qw {

Tensor Model::forward(Ctx& cx, const Batch& batch) const {
  const Tensor x = features(cx, batch);  // [R, D]
  if (cx.adapters == nullptr) return ops::linear(cx, x, head());
  const AdapterMap adapters = adapters_of_rows(*cx.adapters, batch.logit_rows);
  Ctx rows = cx;
  rows.adapters = &adapters;
  return ops::linear(rows, x, head());
}

}  // namespace qw
