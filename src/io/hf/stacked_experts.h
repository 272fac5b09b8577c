// Experts that a file keeps in one tensor, handed out one by one where they lie. Forms, N the layer's prefix:
//   N.experts.gate_up_proj [E, 2F, D], N.experts.down_proj [E, D, F]   transformers 5; hub: qwen3_5_moe
//   N.experts.{gate,up,down}_proj.weight [E, F, D], …                  GGUF ffn_{gate,up,down}_exps
//   N.experts.gate_up_proj.weight [E, 2F, D]                           GGUF ffn_gate_up_exps
// In gate_up the rows of the gate come first. Test: tests/io/stacked_experts_test.cc
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/stored_weights.h"

namespace qw {

// Replaces every stacked tensor by its experts, under the names of one expert each
// ("…experts.3.gate_proj.weight"). Errors: weights.shape (args file, tensor, expected, found) for a stack
// that is none, weights.duplicate (file, tensor) where an expert is there twice.
Status split_stacked_experts(std::map<std::string, StoredTensor, std::less<>>& tensors);

// Whether the name is that of a stack.
bool is_expert_stack(std::string_view name);

// The stack that transformers 5 keeps a weight of one expert in: its name and how many matrices of an expert
// it holds, one after another (gate and up: 2, down: 1). None for a weight of another kind.
struct StackedName {
  std::string name;
  int parts = 1;
};
std::optional<StackedName> stacked_name(std::string_view weight);

}  // namespace qw
