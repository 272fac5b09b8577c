// What every stack of layers does between embedding and last norm. Test: tests/golden (taps of every layer),
// tests/property (paths_agree)
#pragma once

#include <string>

#include "core/batch.h"
#include "nn/scratch.h"

namespace qw::nn {

// x [T, D] through layer(cx, x, il) for il = 0 … n_layers − 1, each with_scratch and tapped as "layers.N".
// What `layer` captured must outlive the backward() of the tape, where there is one.
template <class Layer>
Tensor run_layers(Ctx& cx, Tensor x, int n_layers, const Layer& layer) {
  for (int il = 0; il < n_layers; ++il) {
    x = with_scratch(cx, x, [layer, il](Ctx& inner, const Tensor& in) { return layer(inner, in, il); });
    if (cx.trace != nullptr) cx.tap("layers." + std::to_string(il), x);
  }
  return x;
}

// The rows batch.logit_rows of x [T, D]: x itself where all are wanted.
Tensor wanted_rows(Ctx& cx, const Tensor& x, const Batch& batch);

}  // namespace qw::nn
