// Mixtures: which tensor of a model gets which format. The rules are those that llama.cpp publishes for its
// types (src/llama-quant.cpp, 2026), so that "q4_k_m" means what people expect. Test:
// tests/quant/recipe_test.cc
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"

namespace qw::quant {

enum class Mixture : uint8_t {
  pure,
  q2_k,
  q2_k_s,
  q3_k_s,
  q3_k_m,
  q3_k_l,
  q4_k_s,
  q4_k_m,
  q5_k_s,
  q5_k_m,
  legacy,  // q4_0, q5_0
  iq4,
  ternary,
  mxfp4,
  mxfp4_moe
};

struct Recipe {
  std::string_view name;  // "q4_k_m"
  QuantFormat base;       // of most matrices
  Mixture mixture;
  uint32_t file_type;  // general.file_type, llama_ftype of llama.h
};
std::span<const Recipe> recipes();
const Recipe* find_recipe(std::string_view name);

// What the rules ask of a model.
struct ModelFacts {
  std::vector<std::string> tensors;  // names in GGUF
  int64_t heads = 0, kv_heads = 0, experts = 0;
  bool importance = false;  // an importance matrix is used
};

class FormatChooser {
 public:
  FormatChooser(const Recipe& recipe, const ModelFacts& facts);

  // Whether the tensor stays as it is, whatever the recipe: vectors, norms, routers, convolutions.
  static bool keeps(std::string_view tensor, std::span<const int64_t> shape);
  // Where `columns` are no whole blocks of the wanted format: the next that fits, f16 at last.
  QuantFormat choose(std::string_view tensor, int64_t columns) const;
  // By the rules alone.
  QuantFormat wanted(std::string_view tensor) const;

 private:
  QuantFormat of_value(int layer) const;
  QuantFormat of_down(int layer) const;

  const Recipe& recipe_;
  int64_t gqa_ = 1, experts_ = 0;
  bool importance_ = false, has_output_ = false;
  int layers_ = 0;
  std::map<int, int> value_rank_;  // of the layers that have attn_v
};

}  // namespace qw::quant
