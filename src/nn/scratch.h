// Activation memory of a stack of layers. Test: tests/engine/options_test.cc (a deeper model needs no more),
// tests/nn/scratch_test.cc (gradients with and without recomputation)
#pragma once

#include <functional>

#include "core/tape.h"

namespace qw::nn {

// [T, D] → the same shape.
using LayerFunction = std::function<Tensor(Ctx&, const Tensor&)>;

// A layer under a tape. Its inside has a tape of its own, so that on the way back the gradients inside it
// are given back as soon as it is done. With cx.recompute its activations are given back too, and made again
// on the way back. What `layer` captured must outlive the outer tape's backward().
Tensor record_layer(Ctx& cx, const Tensor& x, LayerFunction layer);

// Runs layer(cx, x), which answers a tensor of the shape of x. In inference its result is written over x and
// all that it allocated is given back: a step needs the memory of one layer, however many there are.
template <class Layer>
Tensor with_scratch(Ctx& cx, const Tensor& x, Layer layer) {
  if (cx.tape != nullptr) return record_layer(cx, x, std::move(layer));
  const Arena::Mark mark = cx.arena.mark();
  cx.backend.copy(x, layer(cx, x));
  cx.arena.rewind(mark);
  return x;
}

}  // namespace qw::nn
