#include "io/peft/experts.h"

#include <fmt/format.h>

#include <array>

#include "base/check.h"

namespace qw {
namespace {

// How a stack's factors are to be read.
struct Form {
  std::string_view projection;
  bool turned;  // P was taken as [E, in, out]
};

std::optional<Form> form_of(const ExpertStack& s) {
  if (s.n < 1 || s.a.rows < s.n || s.a.rows % s.n != 0 || s.b.cols != s.a.rows) return std::nullopt;
  struct Row {
    Form form;
    int64_t a_cols, b_rows;
  };
  const std::array<Row, 4> rows{{{{"gate_up_proj", false}, s.hidden, 2 * s.ffn},
                                 {{"down_proj", false}, s.ffn, s.hidden},
                                 {{"gate_up_proj", true}, 2 * s.ffn, s.hidden},
                                 {{"down_proj", true}, s.hidden, s.ffn}}};
  for (const Row& row : rows)
    if (s.a.cols == row.a_cols && s.b.rows == row.b_rows) return row.form;
  return std::nullopt;
}

}  // namespace

std::optional<std::string> stacked_experts_module(std::string_view module) {
  constexpr std::string_view kBase = ".base_layer";
  while (module.ends_with(kBase)) module.remove_suffix(kBase.size());
  if (!module.ends_with(".experts")) return std::nullopt;
  return std::string(module);
}

std::optional<std::string_view> stacked_projection(const ExpertStack& stack) {
  const auto form = form_of(stack);
  if (!form) return std::nullopt;
  return form->projection;
}

std::vector<ExpertFactors> split_stacked_adapter(const ExpertStack& stack, std::span<const float> a,
                                                 std::span<const float> b) {
  const auto form = form_of(stack);
  QW_CHECK(form.has_value(), "a stacked adapter that fits no projection");
  const int64_t n = stack.n, rank = stack.a.rows / n;
  const auto stored_a = [&](int64_t e, int64_t i, int64_t col) {
    return a[static_cast<size_t>((e * rank + i) * stack.a.cols + col)];
  };
  const auto stored_b = [&](int64_t e, int64_t row, int64_t i) {
    return b[static_cast<size_t>(row * stack.b.cols + i * n + e)];
  };
  const bool pair = form->projection == "gate_up_proj";
  const int64_t in = pair ? stack.hidden : stack.ffn, out = pair ? stack.ffn : stack.hidden;
  std::vector<ExpertFactors> all;
  const auto add = [&](int64_t e, std::string_view projection, int64_t first_row) {
    ExpertFactors f{fmt::format("{}.{}.{}", stack.experts, e, projection), {rank, in}, {out, rank}, {}, {}};
    for (int64_t i = 0; i < rank; ++i)
      for (int64_t k = 0; k < in; ++k) f.a.push_back(form->turned ? stored_b(e, k, i) : stored_a(e, i, k));
    for (int64_t row = first_row; row < first_row + out; ++row)
      for (int64_t i = 0; i < rank; ++i)
        f.b.push_back(form->turned ? stored_a(e, i, row) : stored_b(e, row, i));
    all.push_back(std::move(f));
  };
  for (int64_t e = 0; e < n; ++e) {
    if (pair) {
      add(e, "gate_proj", 0);
      add(e, "up_proj", out);
    } else {
      add(e, "down_proj", 0);
    }
  }
  return all;
}

}  // namespace qw
