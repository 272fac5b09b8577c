#include "nn/modules.h"

namespace qw::nn {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kModel = "model.";

}  // namespace

std::string_view tap_name(const Weight& w) {
  std::string_view name = w.name;
  if (name.starts_with(kModel)) name.remove_prefix(kModel.size());
  if (name.ends_with(kWeight)) name.remove_suffix(kWeight.size());
  return name;
}

void Linear::visit(Visitor& v, std::string_view name, const Shape& shape, bool has_bias, ShardAxis axis) {
  const Visitor::Scope scope(v, name);
  v.weight(weight, "weight", shape, axis);
  bias.init = {WeightInit::Kind::constant, 0};
  // A bias belongs to output rows: cut with them, or held whole where the input is cut.
  if (has_bias) v.weight(bias, "bias", {shape[0]}, axis == ShardAxis::columns ? ShardAxis::none : axis);
}

Tensor Linear::operator()(Ctx& cx, const Tensor& x) const {
  Tensor y = ops::linear(cx, x, weight, bias.defined() ? &bias : nullptr);
  cx.tap(tap_name(weight), y);
  return y;
}

void Head::visit(Visitor& v, int64_t vocab, int64_t dim) {
  const Visitor::Scope scope(v, "lm_head");
  weight.vocabulary = true;
  v.weight(weight, "weight", {vocab, dim}, ShardAxis::rows);
}

void RmsNorm::visit(Visitor& v, std::string_view name, int64_t dim) {
  const Visitor::Scope scope(v, name);
  weight.init = {WeightInit::Kind::constant, 1 - centre};
  v.weight(weight, "weight", {dim}, ShardAxis::none);
}

Tensor RmsNorm::operator()(Ctx& cx, const Tensor& x) const {
  Tensor y = ops::rms_norm(cx, x, weight, eps, centre);
  cx.tap(tap_name(weight), y);
  return y;
}

void Embedding::visit(Visitor& v, std::string_view name, int64_t vocab, int64_t dim) {
  const Visitor::Scope scope(v, name);
  weight.vocabulary = true;
  v.weight(weight, "weight", {vocab, dim}, ShardAxis::rows);
}

Tensor Embedding::operator()(Ctx& cx, const Tensor& ids) const {
  return ops::embedding(cx, ids, weight);
}

}  // namespace qw::nn
