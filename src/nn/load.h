// Loading: a Visitor that fills weights from a WeightSource. Matrices stay in the format and, where the
// device allows, in the memory of the file; vectors (norms, biases) and convolutions become real(). Test:
// tests/nn/load_test.cc
#pragma once

#include <optional>

#include "core/backend.h"
#include "nn/visitor.h"
#include "nn/weight_source.h"

namespace qw::nn {

class LoadVisitor : public Visitor {
 public:
  LoadVisitor(Backend& backend, WeightSource& source, bool trainable)
      : backend_(backend), source_(source), trainable_(trainable) {}

  // The first error of the walk, or that of source.finish().
  Status finish();

 protected:
  void on_weight(Weight& w, ShardAxis axis) override;

 private:
  Status load(Weight& w);
  Status to_real(Weight& w, const WeightBytes& bytes);

  Backend& backend_;
  WeightSource& source_;
  bool trainable_;
  std::optional<Error> error_;
};

}  // namespace qw::nn
