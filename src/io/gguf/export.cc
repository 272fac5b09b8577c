#include "io/gguf/export.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>

#include "io/encode.h"
#include "io/gguf/hybrid_export.h"
#include "io/gguf/names.h"
#include "io/gguf/qwen.h"
#include "io/gguf/writer.h"
#include "nn/mlp.h"

namespace qw {
namespace {

using nn::ConfigReader;

uint32_t u32_of(int64_t n) {
  return static_cast<uint32_t>(n);
}

// general.file_type of llama.h.
uint32_t file_type(QuantFormat format) {
  switch (format) {
    case QuantFormat::f32:
      return 0;
    case QuantFormat::f16:
      return 1;
    case QuantFormat::q8_0:
      return 7;
    case QuantFormat::bf16:
      return 32;
    default:
      QW_CHECK(false, "GGUF models are not written as {}", traits(format).name);
  }
  return 0;
}

// The rotary part of a config.
struct Rope {
  std::string type;
  double theta = 0;
  double factor = 1;
  int64_t original = 0;                                 // yarn
  std::vector<float> factors;                           // of rope_freqs.weight, [head_dim / 2]; empty: none
  std::vector<std::pair<std::string, double>> numbers;  // yarn, where the config has them
  std::optional<bool> truncate;
};

// The divisor of every pair's frequency, as llama.cpp's converter computes it.
std::vector<float> llama3_factors(ConfigReader& r, double theta, int head_dim) {
  const double factor = r.number("factor");
  const double low = r.number("low_freq_factor");
  const double high = r.number("high_freq_factor");
  const double original = r.integer("original_max_position_embeddings");
  std::vector<float> out;
  for (int i = 0; i < head_dim; i += 2) {
    const double wavelength = 2 * std::numbers::pi * std::pow(theta, static_cast<double>(i) / head_dim);
    double divisor = 1;
    if (wavelength > original / low) {
      divisor = factor;
    } else if (wavelength >= original / high) {
      const double smooth = (original / wavelength - low) / (high - low);
      divisor = 1 / ((1 - smooth) / factor + smooth);
    }
    out.push_back(static_cast<float>(divisor));
  }
  return out;
}

Result<Rope> read_rope_words(ConfigReader& c, int head_dim) {
  static const Json none = Json::object();
  const bool hub_spelling = !c.has("rope_parameters");
  const Json* params = c.object(hub_spelling ? "rope_scaling" : "rope_parameters");
  ConfigReader r(params != nullptr ? *params : none, "rope_parameters.");
  Rope rope;
  rope.theta = (hub_spelling ? c : r).number("rope_theta", 10000.0);
  const std::string old_type = r.string("type", "default");
  rope.type = r.string("rope_type", old_type);
  if (rope.type == "linear" || rope.type == "yarn") rope.factor = r.number("factor");
  if (rope.type == "llama3") rope.factors = llama3_factors(r, rope.theta, head_dim);
  if (rope.type == "explicit_factors")
    for (const double f : r.numbers("factors")) rope.factors.push_back(static_cast<float>(f));
  if (rope.type == "yarn") {
    rope.original = r.integer("original_max_position_embeddings");
    for (const auto& [from, to] : {std::pair("attention_factor", "attn_factor"),
                                   {"beta_fast", "beta_fast"},
                                   {"beta_slow", "beta_slow"}})
      if (const auto n = r.optional_number(from)) rope.numbers.emplace_back(to, *n);
    if (r.has("truncate")) rope.truncate = r.boolean("truncate");
    for (const char* key : {"mscale", "mscale_all_dim"})
      if (r.has(key)) return fail("gguf.cannot_hold", {{"key", key}, {"found", rope.type}});
  }
  QW_TRY(r.status());
  return rope;
}

// What the metadata say of a model.
struct Words {
  std::string type;
  int64_t layers = 0, context = 0, hidden = 0, ffn = 0, heads = 0, kv_heads = 0, vocab = 0;
  int64_t head_dim = 0;
  bool names_head_dim = false;
  double eps = 0;
  Rope rope;
  nn::MoeConfig experts;  // 0 experts: none
};

// llama.cpp has no key for some words: it computes each type in one way.
Status read_experts(ConfigReader& c, Words& w) {
  const bool two = w.type == "qwen2moe";
  w.experts = nn::read_moe(c, two ? nn::kQwen2Moe : nn::kQwen3Moe);
  const bool dense_layers =
      c.integer("decoder_sparse_step", 1) != 1 || !c.integers("mlp_only_layers").empty();
  QW_TRY(c.status());
  if (w.experts.normalise == two)
    return fail("gguf.cannot_hold", {{"key", "norm_topk_prob"}, {"found", two ? "true" : "false"}});
  if (two && c.boolean("tie_word_embeddings", false))
    return fail("gguf.cannot_hold", {{"key", "tie_word_embeddings"}, {"found", "true"}});
  if (dense_layers)
    return fail("gguf.cannot_hold",
                {{"key", "mlp_only_layers, decoder_sparse_step"}, {"found", "not every layer"}});
  return {};
}

Result<Words> read_words(const Json& config) {
  ConfigReader c(config);
  Words w;
  w.type = c.string("model_type");
  w.layers = c.integer("num_hidden_layers");
  w.context = c.integer("max_position_embeddings");
  w.hidden = c.integer("hidden_size");
  w.ffn = c.integer("intermediate_size");
  w.heads = c.integer("num_attention_heads");
  w.kv_heads = c.integer("num_key_value_heads", static_cast<int>(w.heads));
  w.vocab = c.integer("vocab_size");
  w.eps = c.number("rms_norm_eps", 1e-6);
  QW_TRY(c.status());
  const int per_head = static_cast<int>(std::max<int64_t>(w.hidden / w.heads, 1));
  w.head_dim = c.integer("head_dim", w.type == "qwen3" ? 128 : per_head);  // the reference classes' defaults
  w.names_head_dim = c.has("head_dim") || w.head_dim != per_head;
  if (w.type == "qwen2_moe" || w.type == "qwen3_moe") {
    w.type = gguf_architecture(w.type);
    QW_TRY(read_experts(c, w));
  }
  if (w.type != "llama" && c.boolean("use_sliding_window", false))
    return fail("gguf.cannot_hold", {{"key", "use_sliding_window"}, {"found", "true"}});
  QW_TRY(w.rope, read_rope_words(c, static_cast<int>(w.head_dim)));
  QW_TRY(c.status());
  return w;
}

void add_rope(GgufMetadata& m, const Rope& rope, const std::string& arch) {
  const std::string scaling = arch + ".rope.scaling.";
  if (rope.type == "linear" || rope.type == "yarn") {
    m.text(scaling + "type", rope.type);
    m.f32(scaling + "factor", rope.factor);
  }
  if (rope.type == "yarn") {
    m.u32(scaling + "original_context_length", u32_of(rope.original));
    if (rope.truncate) m.flag(scaling + "yarn_truncate", *rope.truncate);
    for (const auto& [key, value] : rope.numbers) m.f32(fmt::format("{}yarn_{}", scaling, key), value);
  }
  m.f32(arch + ".rope.freq_base", rope.theta);
}

void add_general(GgufMetadata& m, const std::string& arch, const GgufModelPlan& plan) {
  m.text("general.architecture", arch);
  m.text("general.type", "model");
  if (plan.generation.top_k) m.i32("general.sampling.top_k", *plan.generation.top_k);
  if (plan.generation.top_p) m.f32("general.sampling.top_p", *plan.generation.top_p);
  if (plan.generation.min_p) m.f32("general.sampling.min_p", *plan.generation.min_p);
  if (plan.generation.temperature) m.f32("general.sampling.temp", *plan.generation.temperature);
  if (plan.generation.repetition_penalty)
    m.f32("general.sampling.penalty_repeat", *plan.generation.repetition_penalty);
  m.text("general.name", plan.name);
}

void add_model(GgufMetadata& m, const Words& w, const GgufModelPlan& plan) {
  const std::string& arch = w.type;
  add_general(m, arch, plan);
  m.u32(arch + ".block_count", u32_of(w.layers));
  m.u32(arch + ".context_length", u32_of(w.context));
  m.u32(arch + ".embedding_length", u32_of(w.hidden));
  m.u32(arch + ".feed_forward_length", u32_of(w.ffn));
  m.u32(arch + ".attention.head_count", u32_of(w.heads));
  m.u32(arch + ".attention.head_count_kv", u32_of(w.kv_heads));
  add_rope(m, w.rope, arch);
  m.f32(arch + ".attention.layer_norm_rms_epsilon", w.eps);
  if (w.names_head_dim) {
    m.u32(arch + ".attention.key_length", u32_of(w.head_dim));
    m.u32(arch + ".attention.value_length", u32_of(w.head_dim));
  }
  if (w.experts.experts > 0) {
    m.u32(arch + ".expert_count", u32_of(w.experts.experts));
    m.u32(arch + ".expert_used_count", u32_of(w.experts.top_k));
    m.u32(arch + ".expert_feed_forward_length", u32_of(w.experts.ffn));
    if (w.experts.shared_ffn > 0)
      m.u32(arch + ".expert_shared_feed_forward_length", u32_of(w.experts.shared_ffn));
  }
  m.u32("general.file_type", file_type(plan.format));
  if (arch == "llama") {
    m.u32(arch + ".vocab_size", u32_of(w.vocab));
    m.u32(arch + ".rope.dimension_count", u32_of(w.head_dim));
  }
  m.u32("general.quantization_version", 2);
}

void add_tokenizer(GgufMetadata& m, const GgufTokenizer& t, int64_t vocab) {
  m.text("tokenizer.ggml.model", t.model);
  if (!t.pre.empty()) m.text("tokenizer.ggml.pre", t.pre);
  // Rows of the embedding without a token, as the converter names them.
  std::vector<std::string> padding;
  std::vector<std::string_view> tokens = t.tokens;
  for (auto i = static_cast<int64_t>(tokens.size()); i < vocab; ++i)
    padding.push_back(fmt::format("[PAD{}]", i));
  tokens.insert(tokens.end(), padding.begin(), padding.end());
  std::vector<int32_t> types = t.types;
  types.resize(t.tokens.size(), static_cast<int32_t>(GgufTokenType::normal));
  types.resize(tokens.size(), static_cast<int32_t>(GgufTokenType::unused));
  m.texts("tokenizer.ggml.tokens", tokens);
  m.ints("tokenizer.ggml.token_type", types);
  if (!t.merges.empty()) m.texts("tokenizer.ggml.merges", t.merges);
  const auto id = [&](std::string_view key, const std::optional<int32_t>& value) {
    if (value) m.u32(fmt::format("tokenizer.ggml.{}_token_id", key), static_cast<uint32_t>(*value));
  };
  id("bos", t.bos);
  id("eos", t.eos);
  id("eot", t.eot);
  id("eom", t.eom);
  id("unknown", t.unknown);
  id("padding", t.padding);
  if (t.add_bos) m.flag("tokenizer.ggml.add_bos_token", *t.add_bos);
  if (t.add_eos) m.flag("tokenizer.ggml.add_eos_token", *t.add_eos);
  if (t.add_space_prefix) m.flag("tokenizer.ggml.add_space_prefix", *t.add_space_prefix);
  std::vector<std::string_view> names;
  for (const auto& [name, source] : t.named_templates) {
    m.text(fmt::format("tokenizer.chat_template.{}", name), source);
    names.push_back(name);
  }
  if (!names.empty()) m.texts("tokenizer.chat_templates", names);
  if (!t.chat_template.empty()) m.text("tokenizer.chat_template", t.chat_template);
  if (t.nfc) m.flag("tokenizer.ggml.normalizer.nfc", *t.nfc);
}

constexpr std::string_view kRopeFreqs = "rope_freqs.weight";

// One tensor of the file, and where its numbers come from.
struct PlannedTensor {
  GgufTensorPlan plan;
  std::vector<size_t> items;  // of the rows; the experts of a layer are one tensor
  int64_t head_rows = 0;      // > 0: rows are interleaved
  std::function<std::vector<float>(std::vector<float>)> change = {};  // of the whole item (hybrids)
};

Result<std::vector<PlannedTensor>> plan_tensors(const GgufModelPlan& plan, const WeightRows& rows) {
  std::vector<PlannedTensor> out;
  std::map<std::string, size_t, std::less<>> stacks;  // position in `out` by name
  const bool hybrid = !gguf_hybrid_architecture(plan.config).empty();
  for (size_t i = 0; i < rows.items().size(); ++i) {
    const WeightRows::Item& item = rows.items()[i];
    std::vector<GgufHybridTensor> own;
    if (hybrid) own = gguf_hybrid_tensors(plan.config, item.name, item.shape);
    for (GgufHybridTensor& t : own) {
      const QuantFormat format = t.f32 ? QuantFormat::f32 : plan.format;
      if (t.shape.back() % traits(format).block != 0)
        return fail("gguf.odd_columns", {{"tensor", item.name}, {"found", t.shape.back()}});
      out.push_back({{std::move(t.name), format, std::move(t.shape)}, {i}, 0, std::move(t.change)});
    }
    if (!own.empty()) continue;
    const auto place = gguf_place(hybrid ? gguf_hybrid_alias(plan.config, item.name) : item.name);
    if (!place) return fail("gguf.cannot_hold", {{"key", item.name}, {"found", item.shape.str()}});
    // llama.cpp keeps routers in f32, as its converter does.
    const bool narrow = item.shape.rank() == 1 || place->tensor.find(".ffn_gate_inp") != std::string::npos;
    const QuantFormat format = narrow ? QuantFormat::f32 : plan.format;
    if (item.shape[-1] % traits(format).block != 0)
      return fail("gguf.odd_columns", {{"tensor", item.name}, {"found", item.shape[-1]}});
    const auto dims = item.shape.dims();
    std::vector<int64_t> shape(dims.begin(), dims.end());
    if (place->expert < 0) {
      out.push_back({{place->tensor, format, shape}, {i}, rotary_head_rows(plan.config, item.name)});
      continue;
    }
    const auto [it, first] = stacks.emplace(place->tensor, out.size());
    shape.insert(shape.begin(), 0);
    if (first) out.push_back({{place->tensor, format, shape}, {}, 0});
    PlannedTensor& stack = out[it->second];
    QW_CHECK(stack.plan.shape[0] == place->expert, "{} is not next in its stack", item.name);
    ++stack.plan.shape[0];
    stack.items.push_back(i);
  }
  return out;
}

// The rows [row, …) of an interleaved tensor, taken from the whole of it.
std::vector<float> interleaved(std::span<const float> all, int64_t n_rows, int64_t head_rows) {
  const size_t width = all.size() / static_cast<size_t>(n_rows);
  std::vector<float> out(all.size());
  for (int64_t row = 0; row < n_rows; ++row) {
    const auto from = static_cast<size_t>(rotary_source_row(row, head_rows));
    std::copy_n(all.begin() + static_cast<ptrdiff_t>(from * width), width,
                out.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(row) * width));
  }
  return out;
}

class ModelWriter {
 public:
  ModelWriter(GgufWriter& writer, WeightRows& rows, const WriteProgress& progress, int64_t total)
      : writer_(writer), rows_(rows), progress_(progress), total_(total) {}

  Status write(size_t at, const PlannedTensor& t) {
    int64_t offset = 0;
    const auto put = [&](std::span<const float> values) -> Status {
      bytes_.clear();
      if (!encode(t.plan.format, values, bytes_))
        return fail("save.overflow", {{"tensor", t.plan.name}, {"format", traits(t.plan.format).name}});
      QW_TRY(writer_.write(at, offset, bytes_));
      offset += static_cast<int64_t>(bytes_.size());
      done_ += static_cast<int64_t>(bytes_.size());
      if (progress_) QW_TRY(progress_(done_, total_));
      return {};
    };
    if (t.head_rows == 0 && !t.change) {
      for (const size_t item : t.items)
        QW_TRY(rows_.for_each_portion(item, [&](int64_t, std::span<const float> v) { return put(v); }));
      return {};
    }
    const Shape& shape = rows_.items()[t.items[0]].shape;
    std::vector<float> all(static_cast<size_t>(shape.elements()));  // of one layer
    rows_.read(t.items[0], 0, shape[0], all);
    if (t.change) return put(t.change(std::move(all)));
    return put(interleaved(all, shape[0], t.head_rows));
  }

 private:
  GgufWriter& writer_;
  WeightRows& rows_;
  const WriteProgress& progress_;
  int64_t total_;
  int64_t done_ = 0;
  std::vector<std::byte> bytes_;
};

void add_pooling(GgufMetadata& m, const std::string& architecture, int64_t type) {
  m.u32(architecture + ".pooling_type", static_cast<uint32_t>(type));
}

}  // namespace

int64_t rotary_source_row(int64_t row, int64_t head_rows) {
  const int64_t head = row / head_rows, within = row % head_rows;
  return head * head_rows + within % 2 * (head_rows / 2) + within / 2;
}

int64_t rotary_head_rows(const Json& config, std::string_view hf_name) {
  if (config.value("model_type", "") != "llama") return 0;
  if (hf_name.find(".q_proj.") == hf_name.npos && hf_name.find(".k_proj.") == hf_name.npos) return 0;
  if (const auto it = config.find("head_dim"); it != config.end() && it->is_number_integer())
    return it->get<int64_t>();
  return config["hidden_size"].get<int64_t>() / config["num_attention_heads"].get<int64_t>();
}

Status write_gguf(const std::filesystem::path& file, const GgufModelPlan& plan, WeightRows& rows,
                  const WriteProgress& progress) {
  const std::string hybrid(gguf_hybrid_architecture(plan.config));
  GgufMetadata metadata;
  Words words;
  if (hybrid.empty()) {
    const bool qwen = plan.config.value("model_type", "") == "qwen";
    QW_TRY(const Json config, qwen ? qwen_in_common_words(plan.config) : Result<Json>(plan.config));
    QW_TRY(words, read_words(config));
    add_model(metadata, words, plan);
    if (qwen) QW_TRY(add_qwen_words(metadata, plan.config));
  } else {
    words.vocab = plan.config.value("vocab_size", int64_t{0});
    add_general(metadata, hybrid, plan);
    QW_TRY(add_gguf_hybrid(metadata, plan.config));
    metadata.u32("general.file_type", file_type(plan.format));
    metadata.u32("general.quantization_version", 2);
  }
  QW_TRY(const std::vector<PlannedTensor> tensors, plan_tensors(plan, rows));
  if (plan.pooling_type) add_pooling(metadata, hybrid.empty() ? words.type : hybrid, *plan.pooling_type);
  if (plan.tokenizer) add_tokenizer(metadata, *plan.tokenizer, words.vocab);

  std::vector<GgufTensorPlan> plans;
  int64_t total = 0;
  for (const PlannedTensor& t : tensors) plans.push_back(t.plan);
  const std::vector<float>& factors = words.rope.factors;
  if (!factors.empty())
    plans.push_back({std::string(kRopeFreqs), QuantFormat::f32, {static_cast<int64_t>(factors.size())}});
  for (const GgufTensorPlan& p : plans) total += gguf_tensor_bytes(p);
  QW_TRY(check_free_space(file, total + static_cast<int64_t>(metadata.bytes().size())));
  QW_TRY(GgufWriter writer, GgufWriter::create(file, metadata, plans));
  ModelWriter model(writer, rows, progress, total);
  for (size_t i = 0; i < tensors.size(); ++i) QW_TRY(model.write(i, tensors[i]));
  if (!factors.empty()) QW_TRY(writer.write(tensors.size(), 0, std::as_bytes(std::span(factors))));
  return writer.finish();
}

}  // namespace qw
