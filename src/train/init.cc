#include "train/init.h"

#include <cmath>
#include <vector>

#include "base/rng.h"

namespace qw::train {
void InitVisitor::on_weight(Weight& w, ShardAxis) {
  if (error_) return;
  auto storage = backend_.alloc(static_cast<size_t>(w.shape.elements() * traits(backend_.real()).bytes));
  if (!storage) {
    error_ = storage.error();
    return;
  }
  w.data = Tensor(*std::move(storage), 0, w.shape, backend_.real());
  w.format = QuantFormat::f32;
  w.trainable = true;
  const auto [kind, value] = w.init;
  if (kind == WeightInit::Kind::constant) {
    backend_.fill(w.data, value);
    return;
  }
  std::vector<float> values(static_cast<size_t>(w.shape.elements()));
  const Rng rng(name_key(w.name, seed_ * 0x9e3779b97f4a7c15u));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(kind == WeightInit::Kind::normal ? std_dev_ * rng.normal(i)
                                                                    : std::log(value * (1 - rng.uniform(i))));
  backend_.upload(w.data, values.data());
}

Status InitVisitor::finish() {
  if (error_) return tl::unexpected<Error>(*error_);
  return {};
}

}  // namespace qw::train
