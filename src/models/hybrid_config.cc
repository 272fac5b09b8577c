#include "models/hybrid_config.h"

#include <algorithm>
#include <numeric>

#include "nn/rope_config.h"

namespace qw {
namespace {

using nn::ConfigReader;

// Every layer by name (layer_types), else each full_attention_interval-th is full attention.
std::vector<bool> read_layer_types(ConfigReader& c, int n_layers) {
  const int interval = c.integer("full_attention_interval", 4);
  const std::vector<std::string> types = c.strings("layer_types");
  std::vector<bool> linear(static_cast<size_t>(n_layers));
  if (!types.empty() && types.size() != linear.size())
    c.error(
        Error("config.length", {{"key", "layer_types"}, {"expected", n_layers}, {"found", types.size()}}));
  if (!c.status()) return linear;
  for (size_t il = 0; il < linear.size(); ++il) {
    linear[il] = types.empty() ? (static_cast<int>(il) + 1) % interval != 0 : types[il] == "linear_attention";
    if (!types.empty() && !linear[il] && types[il] != "full_attention")
      c.error(Error(
          "config.value",
          {{"key", "layer_types"}, {"found", types[il]}, {"expected", "full_attention, linear_attention"}}));
  }
  return linear;
}

// partial_rotary_factor stands in rope_parameters, or at the top; mrope_section in rope_parameters or
// rope_scaling. For text the three rows of positions are equal, so that sections only have to fit.
void read_rotation(ConfigReader& c, const Json& json, int max_positions, HybridConfig& h) {
  double factor = c.number("partial_rotary_factor", 0.25);  // Qwen3NextConfig's default
  std::vector<double> sections;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const auto it = json.find(key);
    if (it == json.end() || !it->is_object()) continue;
    ConfigReader r(*it, std::string(key) + ".");
    factor = r.number("partial_rotary_factor", factor);
    if (r.has("mrope_section")) sections = r.numbers("mrope_section");
    r.only("mrope_interleaved", {true});
    if (Status s = r.status(); !s) c.error(s.error());
    break;
  }
  const bool sane = factor > 0 && factor <= 1;
  const int dim = sane ? static_cast<int>(h.head_dim * factor) : 0;
  if (dim < 2 || dim % 2 != 0)
    c.error(Error("config.range", {{"key", "partial_rotary_factor"}, {"found", factor}}));
  if (!c.status()) return;
  const double total = std::accumulate(sections.begin(), sections.end(), 0.0);
  if (!sections.empty() && (sections.size() != 3 || total != static_cast<double>(dim / 2)))
    c.error(Error("config.range", {{"key", "mrope_section"}, {"found", total}}));
  nn::RopeConfig rope = nn::read_rope(c, dim, max_positions, 10000.0);
  h.rope = std::move(rope.spec);
  h.info.max_positions = rope.max_positions;
}

void read_delta(ConfigReader& c, ops::DeltaShape& d) {
  d.taps = c.integer("linear_conv_kernel_dim", 4);
  d.k_dim = c.integer("linear_key_head_dim", 128);
  d.v_dim = c.integer("linear_value_head_dim", 128);
  d.k_heads = c.integer("linear_num_key_heads", 16);
  d.v_heads = c.integer("linear_num_value_heads", 32);
  c.at_most("linear_conv_kernel_dim", d.taps, 64);
  c.at_most("linear_key_head_dim", d.k_dim, nn::kMaxDim);
  c.at_most("linear_value_head_dim", d.v_dim, nn::kMaxDim);
  c.at_most("linear_num_key_heads", d.k_heads, nn::kMaxDim);
  c.at_most("linear_num_value_heads", d.v_heads, nn::kMaxDim);
  if (c.status() && d.v_heads % d.k_heads != 0)
    c.error(Error("config.heads", {{"heads", d.v_heads}, {"kv_heads", d.k_heads}, {"head_dim", d.k_dim}}));
}

// What differs between the types. Defaults are those of Qwen3NextConfig, Qwen3_5TextConfig and
// Qwen3_5MoeTextConfig (transformers 5).
void read_variant(ConfigReader& c, HybridConfig& h) {
  const bool next = h.info.model_type == "qwen3_next";
  const bool experts = next || h.info.model_type.starts_with("qwen3_5_moe");
  const auto n = h.info.n_layers;
  const bool split = c.boolean("linear_split_qkvz", false);  // of a GGUF file: io/gguf/hybrid.h
  if (next) h.layout = split ? nn::DeltaLayout::fused_gates : nn::DeltaLayout::fused;
  h.linear = read_layer_types(c, n);
  h.sparse.assign(static_cast<size_t>(n), experts);
  if (next) {
    h.moe = nn::read_moe(c, {.experts = 512, .top_k = 10, .ffn = 512, .shared_ffn = 512, .normalise = true});
    h.sparse = nn::read_sparse_layers(c, n);
  } else if (experts) {
    h.moe = nn::read_moe(c, {.experts = 256, .top_k = 8, .ffn = 512, .shared_ffn = 512, .normalise = true});
    c.only("norm_topk_prob", {true});
  }
  // An expert model without a dense layer may name no width for one.
  const bool dense = std::find(h.sparse.begin(), h.sparse.end(), false) != h.sparse.end();
  if (dense || c.has("intermediate_size")) h.ffn = c.integer("intermediate_size");
}

// Said by the config, or put there by io/ from what the files hold (docs/models.md): the reference class
// knows no key for it.
void read_mtp(ConfigReader& c, HybridConfig& h) {
  const double n = c.number("mtp_num_hidden_layers", 0.0);
  if (n != 0 && n != 1)
    c.error(Error("config.value", {{"key", "mtp_num_hidden_layers"}, {"found", n}, {"expected", "0, 1"}}));
  c.only("mtp_use_dedicated_embeddings", {false});
  h.mtp_layers = n == 1 ? 1 : 0;
}

}  // namespace

Result<HybridConfig> parse_hybrid_config(const Json& json, std::vector<Error>& warnings) {
  ConfigReader c(json);
  HybridConfig h;
  h.info.model_type = c.string("model_type");
  h.info.hidden = c.integer("hidden_size");
  h.info.n_layers = c.integer("num_hidden_layers");
  h.info.vocab = c.integer("vocab_size");
  const int max_positions = c.integer("max_position_embeddings", 32768);
  h.heads = c.integer("num_attention_heads");
  h.kv_heads = c.integer("num_key_value_heads");
  h.head_dim = c.integer("head_dim", 256);
  h.eps = c.number("rms_norm_eps", 1e-6);
  h.tied = c.boolean("tie_word_embeddings", false);
  h.attention_bias = c.boolean("attention_bias", false);
  c.only("hidden_act", {"silu"});
  c.only("attn_output_gate", {true});
  c.only("output_gate_type", {"swish"});
  c.at_most("num_hidden_layers", h.info.n_layers, nn::kMaxLayers);
  c.at_most("head_dim", h.head_dim, nn::kMaxHeadDim);
  if (c.status() && h.heads % h.kv_heads != 0)
    c.error(Error("config.heads", {{"heads", h.heads}, {"kv_heads", h.kv_heads}, {"head_dim", h.head_dim}}));
  if (c.status()) read_delta(c, h.delta);
  if (c.status()) read_variant(c, h);
  if (c.status()) read_rotation(c, json, max_positions, h);
  if (c.status()) read_mtp(c, h);
  QW_TRY(c.status());
  c.harmless({"architectures",
              "torch_dtype",
              "dtype",
              "transformers_version",
              "use_cache",
              "initializer_range",
              "attention_dropout",
              "bos_token_id",
              "eos_token_id",
              "pad_token_id",
              "_name_or_path",
              "rope_scaling",
              "rope_theta",
              "rope_parameters",
              "mamba_ssm_dtype",
              "chunk_size_feed_forward",
              "output_hidden_states",
              "output_attentions",
              "return_dict",
              "problem_type",
              "is_encoder_decoder",
              "id2label",
              "label2id",
              "mlp_only_layers"});
  warnings = c.unknown_keys();
  return h;
}

}  // namespace qw
