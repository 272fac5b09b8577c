#include "io/hf/stacked_experts.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace qw {
namespace {

// A name that a stack may have: what stands before the expert's number, and the projection.
struct Stack {
  std::string prefix;      // "model.layers.0.mlp.experts."
  std::string projection;  // "gate_up_proj"
};

std::optional<Stack> stack_of(std::string_view name) {
  constexpr std::string_view kWeight = ".weight", kExperts = ".experts.";
  if (name.ends_with(kWeight)) name.remove_suffix(kWeight.size());
  const size_t at = name.rfind(kExperts);
  if (at == std::string_view::npos) return std::nullopt;
  const size_t begin = at + kExperts.size();
  const std::string_view rest = name.substr(begin);
  for (const std::string_view projection : {"gate_up_proj", "gate_proj", "up_proj", "down_proj"})
    if (rest == projection) return Stack{std::string(name.substr(0, begin)), std::string(projection)};
  return std::nullopt;
}

// Rows [begin, end) of expert e of a stack [E, rows, columns].
StoredTensor slice_of(const StoredTensor& stack, int64_t e, int64_t begin, int64_t end) {
  const auto row = static_cast<size_t>(row_bytes(stack.format, stack.shape[2]));
  const auto first = static_cast<size_t>(e * stack.shape[1] + begin), n = static_cast<size_t>(end - begin);
  StoredTensor out = stack;
  out.shape = {end - begin, stack.shape[2]};
  out.bytes = stack.bytes.subspan(first * row, n * row);
  if (stack.scales.size() > 1) out.scales = {stack.scales[static_cast<size_t>(e)]};
  return out;
}

Status split(const std::string& name, const Stack& stack, const StoredTensor& t,
             std::map<std::string, StoredTensor, std::less<>>& out) {
  const bool pair = stack.projection == "gate_up_proj";
  // An empty stack could claim any number of experts.
  const bool empty = std::any_of(t.shape.begin(), t.shape.end(), [](int64_t d) { return d < 1; });
  if (t.shape.size() != 3 || empty || (pair && t.shape[1] % 2 != 0))
    return fail("weights.shape", {{"file", t.file},
                                  {"tensor", name},
                                  {"expected", pair ? "[experts, 2 n, m]" : "[experts, n, m]"},
                                  {"found", fmt::format("[{}]", fmt::join(t.shape, ", "))}});
  const int64_t rows = t.shape[1];
  for (int64_t e = 0; e < t.shape[0]; ++e) {
    const auto add = [&](std::string_view projection, int64_t begin, int64_t end) -> Status {
      const std::string expert = fmt::format("{}{}.{}.weight", stack.prefix, e, projection);
      if (!out.emplace(expert, slice_of(t, e, begin, end)).second)
        return fail("weights.duplicate", {{"file", t.file}, {"tensor", expert}});
      return {};
    };
    if (pair) {
      QW_TRY(add("gate_proj", 0, rows / 2));
      QW_TRY(add("up_proj", rows / 2, rows));
    } else {
      QW_TRY(add(stack.projection, 0, rows));
    }
  }
  return {};
}

}  // namespace

bool is_expert_stack(std::string_view name) {
  return stack_of(name).has_value();
}

std::optional<StackedName> stacked_name(std::string_view weight) {
  constexpr std::string_view kExperts = ".experts.";
  const size_t at = weight.rfind(kExperts);
  if (at == std::string_view::npos) return std::nullopt;
  const size_t begin = at + kExperts.size(), dot = weight.find('.', begin);
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view prefix = weight.substr(0, begin), rest = weight.substr(dot + 1);
  if (rest == "gate_proj.weight" || rest == "up_proj.weight")
    return StackedName{fmt::format("{}gate_up_proj", prefix), 2};
  if (rest == "down_proj.weight") return StackedName{fmt::format("{}down_proj", prefix), 1};
  return std::nullopt;
}

Status split_stacked_experts(std::map<std::string, StoredTensor, std::less<>>& tensors) {
  std::vector<std::pair<std::string, Stack>> stacks;
  for (const auto& [name, tensor] : tensors)
    if (auto stack = stack_of(name)) stacks.emplace_back(name, *std::move(stack));
  for (const auto& [name, stack] : stacks) {
    const StoredTensor t = tensors.extract(name).mapped();
    QW_TRY(split(name, stack, t, tensors));
  }
  return {};
}

}  // namespace qw
