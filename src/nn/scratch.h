// Activation memory of a stack of layers. Test: tests/engine/options_test.cc (a deeper model needs no more)
#pragma once

#include "core/ctx.h"

namespace qw::nn {

// Runs layer(x), which answers a tensor of the shape of x. In inference its result is written over x and all
// that it allocated is given back: a step needs the memory of one layer, however many there are. A recorded
// pass keeps everything, for the way back.
template <class Layer>
Tensor with_scratch(Ctx& cx, const Tensor& x, Layer layer) {
  if (cx.tape != nullptr) return layer(x);
  const Arena::Mark mark = cx.arena.mark();
  cx.backend.copy(x, layer(x));
  cx.arena.rewind(mark);
  return x;
}

}  // namespace qw::nn
