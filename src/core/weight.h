// Weight: one named parameter of a model, in the format in which it is stored. Immutable after load; only the
// trainer writes weights. Gradients live in Gradients (core/tape.h), keyed by weight, so that a served model
// stays const.
#pragma once

#include <string>

#include "core/dtype.h"
#include "core/tensor.h"

namespace qw {

// How a weight begins in a model of random numbers.
struct WeightInit {
  enum class Kind { normal, constant, log_uniform };
  Kind kind = Kind::normal;
  double value = 0;  // constant: the number; log_uniform: the numbers are logarithms of numbers below it
};

struct Weight {
  std::string
      name;     // the Hugging Face name, "model.layers.0.self_attn.q_proj.weight"; set by the first visit
  Shape shape;  // logical: [rows N, columns K] or [N]
  QuantFormat format = QuantFormat::f32;
  Tensor data;  // float formats: `shape`; quantised formats: u8 [N, row_bytes(format, K)]
  // i32 [K], or not defined: column j of `data` is column input_order[j] of the weight (a permutation), so
  // that the columns of a group of GPTQ's desc_act lie together. The backend applies it.
  Tensor input_order = {};
  bool trainable = false;
  bool vocabulary = false;  // a row a token: the embedding or the head
  WeightInit init = {};

  bool defined() const { return data.defined(); }
  int64_t rows() const { return shape[0]; }
  int64_t cols() const { return shape[-1]; }
};

}  // namespace qw
