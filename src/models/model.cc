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

Tensor Model::mtp_features(Ctx&, const Tensor&, const Batch&) const {
  QW_CHECK(false, "{} has no multi-token prediction", info().model_type);
  return {};
}

}  // namespace qw
