#include "nn/mlp.h"

#include <algorithm>

#include "ops/add.h"
#include "ops/expert_linear.h"
#include "ops/gate_rows.h"
#include "ops/gather_rows.h"
#include "ops/silu_mul.h"

namespace qw::nn {

void Mlp::visit(Visitor& v, std::string_view name, int64_t hidden, int64_t ffn, bool bias) {
  const Visitor::Scope scope(v, name);
  gate.visit(v, "gate_proj", {ffn, hidden}, bias, ShardAxis::rows);
  up.visit(v, "up_proj", {ffn, hidden}, bias, ShardAxis::rows);
  down.visit(v, "down_proj", {hidden, ffn}, bias, ShardAxis::columns);
}

Tensor Mlp::operator()(Ctx& cx, const Tensor& x) const {
  const auto [g, u] = project(cx, x, gate, up);  // [T, F]
  return down(cx, ops::silu_mul(cx, g, u));
}

MoeConfig read_moe(ConfigReader& c, const MoeConfig& defaults) {
  MoeConfig out;
  const int experts = c.integer("num_local_experts", defaults.experts);  // transformers 5's spelling
  out.experts = c.integer("num_experts", experts);
  if (c.has("num_experts") && c.has("num_local_experts") && experts != out.experts)
    c.error(
        Error("config.value", {{"key", "num_local_experts"}, {"found", experts}, {"expected", out.experts}}));
  out.top_k = c.integer("num_experts_per_tok", defaults.top_k);
  out.ffn = c.integer("moe_intermediate_size", defaults.ffn);
  if (defaults.shared_ffn > 0)
    out.shared_ffn = c.integer("shared_expert_intermediate_size", defaults.shared_ffn);
  out.normalise = c.boolean("norm_topk_prob", defaults.normalise);
  c.only("output_router_logits", {false});
  c.harmless({"router_aux_loss_coef"});
  constexpr int kMaxExperts = 1 << 18;  // of all layers together; why: nn/config_reader.h
  const int layers = c.integer("num_hidden_layers", 1);
  c.at_most("num_experts", out.experts, kMaxExperts / layers);
  c.at_most("num_experts_per_tok", out.top_k, out.experts);
  return out;
}

std::vector<bool> read_sparse_layers(ConfigReader& c, int n_layers) {
  const int step = c.integer("decoder_sparse_step", 1);
  const std::vector<int> dense = c.integers("mlp_only_layers");
  std::vector<bool> sparse;
  for (int il = 0; il < n_layers; ++il)
    sparse.push_back((il + 1) % step == 0 && std::find(dense.begin(), dense.end(), il) == dense.end());
  return sparse;
}

void Moe::visit(Visitor& v, std::string_view name, int64_t hidden) {
  const Visitor::Scope scope(v, name);
  const auto n = static_cast<size_t>(config.experts);
  router.visit(v, "gate", {config.experts, hidden}, false, ShardAxis::none);
  for (std::vector<Weight>* weights : {&gate, &up, &down}) weights->resize(n);
  {
    const Visitor::Scope experts(v, "experts");
    for (size_t e = 0; e < n; ++e) {
      const Visitor::Scope expert(v, std::to_string(e));
      v.weight(gate[e], "gate_proj.weight", {config.ffn, hidden}, ShardAxis::experts);
      v.weight(up[e], "up_proj.weight", {config.ffn, hidden}, ShardAxis::experts);
      v.weight(down[e], "down_proj.weight", {hidden, config.ffn}, ShardAxis::experts);
    }
  }
  if (config.shared_ffn == 0) return;
  shared.visit(v, "shared_expert", hidden, config.shared_ffn, false);
  shared_gate.visit(v, "shared_expert_gate", {1, hidden}, false, ShardAxis::none);
}

Tensor Moe::operator()(Ctx& cx, const Tensor& x) const {
  const ops::Routing routing = ops::route(cx, router(cx, x), config.top_k, config.normalise);
  const Tensor rows = ops::gather_rows(cx, x, routing.rows);     // [R, D], R = T · top_k
  const Tensor g = ops::expert_linear(cx, rows, routing, gate);  // [R, F]
  const Tensor u = ops::expert_linear(cx, rows, routing, up);
  const Tensor y = ops::expert_linear(cx, ops::silu_mul(cx, g, u), routing, down);  // [R, D]
  const Tensor out = ops::combine_experts(cx, y, routing);
  if (config.shared_ffn == 0) return out;
  return ops::add_over(cx, out, ops::gate_rows(cx, shared(cx, x), shared_gate(cx, x)));
}

}  // namespace qw::nn
