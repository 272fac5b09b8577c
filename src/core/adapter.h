// LoRA adapters (Hu et al. 2021) beside a model that does not know them: y += scale · (x · Aᵀ) · Bᵀ in
// ops::linear. Kept apart from the weights, so that adapters are loaded and dropped while the model serves,
// and rows of one batch may use different ones. Test: tests/ops/adapter_test.cc
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/weight.h"

namespace qw {

struct Lora {
  Weight a;            // [r, K]
  Weight b;            // [N, r]
  double scale = 1.0;  // alpha / r, or alpha / √r (rsLoRA)
};

// Adapters of the weights of one model, by weight name. Walks go in the order of the names, so that sums over
// an adapter (gradient norms) do not depend on the library.
class AdapterSet {
 public:
  void add(const std::string& weight_name, Lora lora) {
    by_weight_.insert_or_assign(weight_name, std::move(lora));
  }
  const Lora* find(const std::string& weight_name) const {
    const auto it = by_weight_.find(weight_name);
    return it == by_weight_.end() ? nullptr : &it->second;
  }
  std::map<std::string, Lora>& all() { return by_weight_; }
  const std::map<std::string, Lora>& all() const { return by_weight_; }
  // Every A and B, for an optimiser.
  std::vector<Weight*> weights() {
    std::vector<Weight*> out;
    for (auto& [name, lora] : by_weight_) out.insert(out.end(), {&lora.a, &lora.b});
    return out;
  }

 private:
  std::map<std::string, Lora> by_weight_;
};

// Rows [begin, end) of a batch use this set. Ranges of a batch do not overlap; rows in none use the base
// model alone.
struct AdapterRange {
  int64_t begin = 0;
  int64_t end = 0;
  std::shared_ptr<const AdapterSet> set;
};
using AdapterMap = std::vector<AdapterRange>;

// The ranges of a tensor that holds only rows `rows` (ascending) of the batch, as the head sees it.
inline AdapterMap adapters_of_rows(const AdapterMap& map, std::span<const int32_t> rows) {
  const auto place = [&](int64_t row) {
    return int64_t{std::lower_bound(rows.begin(), rows.end(), row) - rows.begin()};
  };
  AdapterMap out;
  for (const AdapterRange& r : map)
    if (const AdapterRange part{place(r.begin), place(r.end), r.set}; part.begin < part.end)
      out.push_back(part);
  return out;
}

}  // namespace qw
