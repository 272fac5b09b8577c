// Visitor: walks a model's weights by name, shape and shard axis. Loading, saving, quantising, sharding,
// counting and optimising are all such walks; the names are Hugging Face's and, less "model." and ".weight",
// the names of the trace taps.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/weight.h"

namespace qw {

// How a weight is cut over devices: by rows (output), by columns (input), by experts, or held whole by each.
enum class ShardAxis { none, rows, columns, experts };

class Visitor {
 public:
  virtual ~Visitor() = default;

  // Adds a part to the prefix of the names visited until the Scope goes.
  class Scope {
   public:
    Scope(Visitor& v, std::string_view part) : visitor_(v), length_(v.prefix_.size()) {
      v.prefix_.append(part).append(".");
    }
    ~Scope() { visitor_.prefix_.resize(length_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Visitor& visitor_;
    size_t length_;
  };

  // `w` is `name` (below the open scopes) with this logical shape.
  void weight(Weight& w, std::string_view name, const Shape& shape, ShardAxis axis) {
    w.name = prefix_ + std::string(name);
    w.shape = shape;
    on_weight(w, axis);
  }

 protected:
  // w.name and w.shape are set.
  virtual void on_weight(Weight& w, ShardAxis axis) = 0;

 private:
  std::string prefix_;
};

// Every weight of a walk, in its order.
class WeightList : public Visitor {
 public:
  const std::vector<Weight*>& weights() const { return weights_; }

 protected:
  void on_weight(Weight& w, ShardAxis) override { weights_.push_back(&w); }

 private:
  std::vector<Weight*> weights_;
};

}  // namespace qw
