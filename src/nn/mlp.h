// Gated MLP (Shazeer 2020) and mixture of experts as Qwen2-MoE, Qwen3-MoE, Qwen3-Next and Qwen3.5-MoE have
// it. An expert is three ordinary weights, `experts.17.gate_proj.weight` [F, D] and so on, whatever way a
// file stores them. Test: tests/nn/moe_test.cc, tests/golden
#pragma once

#include <span>
#include <vector>

#include "nn/config_reader.h"
#include "nn/modules.h"

namespace qw::nn {

// down(silu(gate(x)) · up(x)).
struct Mlp {
  Linear gate, up, down;

  void visit(Visitor& v, std::string_view name, int64_t hidden, int64_t ffn, bool bias);
  Tensor operator()(Ctx& cx, const Tensor& x) const;  // [T, D] → the same
};

struct MoeConfig {
  int experts = 0, top_k = 0;
  int ffn = 0;             // of an expert
  int shared_ffn = 0;      // of the expert that sees every row, gated by a sigmoid; 0: none
  bool normalise = false;  // the weights of a row's experts sum to 1
};

// What Qwen2MoeConfig and Qwen3MoeConfig (transformers 5) have where a config is silent.
inline constexpr MoeConfig kQwen2Moe{.experts = 60, .top_k = 4, .ffn = 1408, .shared_ffn = 5632};
inline constexpr MoeConfig kQwen3Moe{.experts = 128, .top_k = 8, .ffn = 768};

// num_experts (or num_local_experts), num_experts_per_tok, moe_intermediate_size, norm_topk_prob and, where
// `defaults` has one, shared_expert_intermediate_size; the values of `defaults` where a key is absent.
// router_aux_loss_coef is harmless, output_router_logits must be false: the loss has no auxiliary part.
// Errors stay in `c`.
MoeConfig read_moe(ConfigReader& c, const MoeConfig& defaults);
// The layers that have experts: every decoder_sparse_step-th, but for those named in mlp_only_layers.
std::vector<bool> read_sparse_layers(ConfigReader& c, int n_layers);

// Σ over the top_k experts of a row of weight · expert(x), plus sigmoid(shared_gate(x)) · shared(x).
struct Moe {
  MoeConfig config;                    // before visit()
  Linear router;                       // `gate` [E, D]
  std::vector<Weight> gate, up, down;  // [E] of [F, D], [F, D], [D, F]
  Mlp shared;                          // `shared_expert`
  Linear shared_gate;                  // `shared_expert_gate` [1, D]

  void visit(Visitor& v, std::string_view name, int64_t hidden);
  Tensor operator()(Ctx& cx, const Tensor& x) const;  // [T, D] → the same
};

}  // namespace qw::nn
