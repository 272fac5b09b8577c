// PEFT adapters over the stacked experts of transformers 5 (`target_parameters`), as adapters of one expert
// each. Layout of PEFT 0.21's ParamWrapper over P [E, out, in], rank r: A [E·r, in], row e·r + i of expert e;
// B [out, r·E], column i·E + e. Older versions take P as [E, in, out]: A and B then stand for each other's
// transposes. The inner of two wrappers (`experts.base_layer`) belongs to gate_up_proj, the outer to
// down_proj, but the shapes say which in any case. Test: tests/io/peft_test.cc,
// tests/golden/peft_golden_test.cc
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace qw {

// "model.layers.0.mlp.experts" for that module and for its ".base_layer"; none for another.
std::optional<std::string> stacked_experts_module(std::string_view module);

struct MatrixSize {
  int64_t rows = 0, cols = 0;
};

// The experts that a stack's adapter lies on, and its factors' sizes.
struct ExpertStack {
  std::string experts;  // "model.layers.0.mlp.experts"
  int64_t n = 0, hidden = 0, ffn = 0;
  MatrixSize a, b;
};

// One expert's adapter on one projection.
struct ExpertFactors {
  std::string module;  // "model.layers.0.mlp.experts.3.up_proj"
  MatrixSize a_size, b_size;
  std::vector<float> a, b;
};

// "gate_up_proj" or "down_proj" by the sizes; none where they fit neither.
std::optional<std::string_view> stacked_projection(const ExpertStack& stack);
// The adapter of every expert. The two halves of gate_up_proj get A each. The sizes fit a projection.
std::vector<ExpertFactors> split_stacked_adapter(const ExpertStack& stack, std::span<const float> a,
                                                 std::span<const float> b);

}  // namespace qw
