// The numbers of a model's weights for whoever writes them: f32, a few rows at a time, so that a model is
// never in memory twice; with an adapter folded in where one is given. Test:
// tests/golden/merge_golden_test.cc
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/adapter.h"
#include "core/arena.h"
#include "core/backend.h"

namespace qw {

class WeightRows {
 public:
  struct Item {
    std::string name;  // Hugging Face's
    Shape shape;       // [rows, columns] or [n]
  };
  // Weights of any format, with their data, real() = f32. `adapter` (null: none) belongs to this model. Where
  // it changes the head of a model whose head is its embedding, the sum is one item more, lm_head.weight, and
  // unties_head() holds.
  WeightRows(const std::vector<Weight*>& weights, Backend& backend,
             std::shared_ptr<const AdapterSet> adapter = nullptr);

  const std::vector<Item>& items() const { return items_; }
  bool unties_head() const { return unties_head_; }

  // Rows [begin, end) of item `i` (of a vector: elements) into `out`: W + scale · B · A, in f32.
  void read(size_t i, int64_t begin, int64_t end, std::span<float> out);
  // The whole item in portions of whole rows, in order.
  Status for_each_portion(size_t i, const std::function<Status(int64_t row, std::span<const float>)>& take);

 private:
  struct Source {
    const Weight* weight;
    const Lora* lora;  // null: as it is
  };
  std::vector<Item> items_;
  std::vector<Source> sources_;
  Backend& backend_;
  std::shared_ptr<const AdapterSet> adapter_;
  Arena arena_;
  bool unties_head_ = false;
};

// Called after every portion of a large write, with bytes. Its error ends the write, of which nothing stays.
using WriteProgress = std::function<Status(int64_t done, int64_t total)>;

}  // namespace qw
