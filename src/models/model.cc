#include "models/model.h"

#include "ops/linear.h"

namespace qw {

Tensor Model::forward(Ctx& cx, const Batch& batch) const {
  return ops::linear(cx, features(cx, batch), head());
}

}  // namespace qw
