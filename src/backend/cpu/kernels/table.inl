// Fills a table with every algorithm over one vocabulary. Included inside an anonymous namespace.
#pragma once

#include "backend/cpu/kernels/attention.inl"
#include "backend/cpu/kernels/attention_backward.inl"
#include "backend/cpu/kernels/delta_chunk.inl"
#include "backend/cpu/kernels/dequant.inl"
#include "backend/cpu/kernels/elementwise.inl"
#include "backend/cpu/kernels/gemm.inl"
#include "backend/cpu/kernels/linear.inl"
#include "backend/cpu/kernels/packed.inl"
#include "backend/cpu/kernels/rows.inl"

template <class V>
void fill_table(KernelTable<typename V::Real>& t) {
  using E = Elementwise<V>;
  t.add = E::add;
  t.scale = E::scale;
  t.axpy = E::axpy;
  t.silu_mul = E::silu_mul;
  t.silu_mul_backward = E::silu_mul_backward;
  t.sigmoid = E::sigmoid;
  t.sigmoid_backward = E::sigmoid_backward;
  t.sigmoid_mul = E::sigmoid_mul;
  t.sigmoid_mul_backward = E::sigmoid_mul_backward;
  t.exp = E::exp;
  t.sum = E::sum;
  t.sum_squares = E::sum_squares;
  t.adamw = E::adamw;
  t.convert = E::convert;
  t.rms_norm = Rows<V>::rms_norm;
  t.rms_norm_backward = Rows<V>::rms_norm_backward;
  t.rope = Rows<V>::rope;
  t.cross_entropy = Rows<V>::cross_entropy;
  t.cross_entropy_backward = Rows<V>::cross_entropy_backward;
  t.dequantise = Decode<V>::any_row;
  t.linear = Linear<V>::linear;
  t.gemm = Gemm<V>::gemm;
  t.product = Packed<ExactOp<V>>::kernels();
  if constexpr (sizeof(typename V::Real) == sizeof(float)) t.bf16_product = Packed<RoundedOp<V>>::kernels();
  t.causal_conv = CausalConv<V>::forward;
  t.causal_conv_backward = CausalConv<V>::backward;
  t.delta_step = Delta<V>::step;
  t.delta_chunk = DeltaChunk<V>::forward;
  t.delta_backward = DeltaChunk<V>::backward;
  t.attention = Attention<V>::attention;
  t.attention_backward = AttentionBackward<V>::backward;
}
