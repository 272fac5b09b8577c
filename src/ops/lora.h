// LoRA beside a product, for the ops that multiply rows with weights. Test: tests/ops/adapter_test.cc,
// tests/nn/moe_test.cc
#pragma once

#include <vector>

#include "core/tape.h"

namespace qw::ops {

// One adapter of one weight over a range of rows, with what the way back needs.
struct LoraUse {
  AdapterRange range;
  const Lora* lora;
  double dropout = 0.0;
  uint64_t key = 0;  // of the dropout
  Tensor x, xa;      // [rows, K] behind the dropout, [rows, r]
};

// Appends the adapters of `w` among `map`, ranges of rows of the product's input.
void find_loras(const Ctx& cx, const AdapterMap& map, const Weight& w, std::vector<LoraUse>& uses);
inline bool trains(const LoraUse& use) {
  return use.lora->a.trainable || use.lora->b.trainable;
}
// out [T, N] += scale · (x · Aᵀ) · Bᵀ in the rows of the range; x [T, K].
void add_lora(Ctx& cx, const Tensor& out, const Tensor& x, LoraUse& use);
// dx (may be undefined) += scale · (dout · B) · A; dA and dB into the weight gradients.
void lora_backward(Ctx& cx, Gradients& weights, const LoraUse& use, const Tensor& dout, const Tensor& dx);

}  // namespace qw::ops
