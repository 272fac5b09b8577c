#include "ops/embedding.h"

#include "ops/dims.h"

namespace qw::ops {

Tensor embedding(Ctx& cx, const Tensor& ids, const Weight& w) {
  Dims d("embedding");
  d.arg("ids", ids, "T").arg(w.name, w.shape, "VD");
  Tensor out = cx.alloc({d['T'], d['D']});
  cx.backend.embedding(out, ids, w);
  if (cx.tape == nullptr || !w.trainable) return out;
  QW_CHECK(traits(w.format).is_float, "embedding: {} is {} and cannot be trained", w.name,
           traits(w.format).name);
  cx.tape->record(out, [ids, &w, tape = cx.tape](Ctx& c, const Tensor& dout) {
    c.backend.embedding_backward(tape->weights().of(w), ids, dout);
  });
  return out;
}

}  // namespace qw::ops
