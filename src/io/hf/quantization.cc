#include "io/hf/quantization.h"

#include <fmt/format.h>

#include <utility>

#include "base/mmap.h"
#include "nn/config_reader.h"

namespace qw {
namespace {

namespace fs = std::filesystem;
using nn::ConfigReader;

constexpr std::string_view kWhere = "quantization_config.";
constexpr int kGroup = 32;  // columns that a block of every format in memory is made of

std::string shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > 80 ? text.substr(0, 77) + "..." : text;
}

Error bad_value(const std::string& key, const Json& found, std::string_view expected) {
  return Error("config.value", {{"key", key}, {"found", shown(found)}, {"expected", expected}});
}

// One group a row (-1), or groups of a multiple of 32 columns.
int64_t group_size(ConfigReader& c, const Json& json, const std::string& where) {
  if (json.is_object() && json.contains("group_size") && json["group_size"] == -1) {
    c.harmless({"group_size"});
    return -1;
  }
  const int size = c.integer("group_size");
  if (size % kGroup != 0 && c.status()) c.error(bad_value(where + "group_size", size, "-1, 32, 64, 128"));
  return size;
}

std::string groups_text(int64_t size) {
  return size == -1 ? std::string("one group a row") : fmt::format("groups of {}", size);
}

void finish(ConfigReader& c, HfQuantization& q) {
  for (const Error& e : c.unknown_keys()) q.unknown_keys.emplace_back(e.arg("key"));
}

void read_gptq(ConfigReader& c, const Json& json, HfQuantization& q) {
  c.only("bits", {4, 8});
  q.bits = c.integer("bits");
  q.group_size = group_size(c, json, std::string(kWhere));
  c.only("checkpoint_format", {"gptq", "gptq_v2"});
  c.only("format", {"gptq", "gptq_v2"});
  // transformers: checkpoint_format, where it is there, wins over format
  q.zero_less_one = c.string("checkpoint_format", c.string("format", "gptq")) == "gptq";
  c.only("is_marlin_format", {false});
  c.only("pack_dtype", {"int32"});
  c.only("rotation", {});
  c.only("method", {"gptq"});
  const bool reordered = c.boolean("desc_act", false);
  const Json* dynamic = c.object("dynamic");
  q.dynamic = dynamic != nullptr && !dynamic->empty();
  c.harmless({"sym",
              "lm_head",
              "damp_percent",
              "damp_auto_increment",
              "static_groups",
              "true_sequential",
              "meta",
              "model_name_or_path",
              "dataset",
              "tokenizer",
              "backend",
              "max_input_length",
              "cache_block_outputs",
              "model_file_base_name",
              "model_seqlen",
              "block_name_to_quantize",
              "module_name_preceding_first_block",
              "batch_size",
              "pad_token_id",
              "use_cuda_fp16",
              "use_exllama",
              "exllama_config",
              "modules_in_block_to_quantize",
              "act_group_aware",
              "hyb_act",
              "mse",
              "offload_to_disk",
              "offload_to_disk_path",
              "pack_impl",
              "quantizer",
              "adapter",
              "version"});
  q.summary = fmt::format("gptq, {} bits, {}{}{}", q.bits, groups_text(q.group_size),
                          reordered ? ", desc_act" : "", q.zero_less_one ? "" : ", v2");
}

void read_awq(ConfigReader& c, const Json& json, HfQuantization& q) {
  c.only("bits", {4});
  q.bits = c.integer("bits", 4);
  q.group_size = group_size(c, json, std::string(kWhere));
  c.only("version", {"gemm", "GEMM"});
  c.only("zero_point", {true});
  c.harmless({"modules_to_not_convert", "backend", "do_fuse", "fuse_max_seq_len", "modules_to_fuse",
              "exllama_config", "desc_act", "sym", "damp_percent", "true_sequential", "lm_head"});
  q.summary = fmt::format("awq, {} bits, {}", q.bits, groups_text(q.group_size));
}

void read_fp8(ConfigReader& c, const Json& json, HfQuantization& q) {
  c.only("fmt", {"e4m3"});
  c.harmless({"activation_scheme", "modules_to_not_convert", "ignored_layers", "dequantize", "scale_fmt",
              "scale_dtype", "kv_cache_scheme", "weight_per_tensor", "act_per_tensor"});
  c.harmless({"weight_block_size"});
  q.summary = "fp8 (e4m3)";
  if (!c.has("weight_block_size")) return;
  const Json& block = json["weight_block_size"];
  const auto is_size = [](const Json& v) { return v.is_number_integer() && v > 0 && v < (1 << 30); };
  if (!block.is_array() || block.size() != 2 || !is_size(block[0]) || !is_size(block[1]) ||
      block[1].get<int64_t>() % kGroup != 0)
    return c.error(bad_value(std::string(kWhere) + "weight_block_size", block, "[128, 128]"));
  q.block_rows = block[0].get<int64_t>();
  q.block_cols = block[1].get<int64_t>();
  q.summary += fmt::format(", blocks of {} × {}", q.block_rows, q.block_cols);
}

void read_bitsandbytes(ConfigReader& c, HfQuantization& q) {
  const bool eight = c.boolean("load_in_8bit", false), four = c.boolean("load_in_4bit", false);
  if (eight == four) c.error(Error("config.missing", {{"key", std::string(kWhere) + "load_in_4bit"}}));
  c.only("bnb_4bit_quant_storage", {"uint8"});
  c.only("llm_int8_has_fp16_weight", {false});
  const std::string type = c.string("bnb_4bit_quant_type", "fp4");
  q.bits = four ? 4 : 8;
  q.summary = four ? "bitsandbytes, " + type : "bitsandbytes, int8";
  c.harmless({"bnb_4bit_use_double_quant", "bnb_4bit_compute_dtype", "llm_int8_threshold",
              "llm_int8_skip_modules", "llm_int8_enable_fp32_cpu_offload", "_load_in_4bit", "_load_in_8bit"});
}

CompressedGroup::Strategy strategy_of(ConfigReader& c, const Json& json) {
  using Strategy = CompressedGroup::Strategy;
  const std::string by_size = !c.has("group_size")       ? "tensor"
                              : json["group_size"] == -1 ? "channel"
                                                         : "group";
  c.only("strategy", {"tensor", "channel", "group", "block"});
  const std::string name = c.string("strategy", by_size);
  return name == "tensor"    ? Strategy::tensor
         : name == "channel" ? Strategy::channel
         : name == "group"   ? Strategy::group
                             : Strategy::block;
}

void read_block(ConfigReader& c, const Json& json, const std::string& where, CompressedGroup& g) {
  const std::vector<double> size = c.numbers("block_structure");
  if (!c.status()) return;
  const auto is_size = [](double v) {
    return v >= 1 && v < (1 << 30) && v == static_cast<double>(static_cast<int64_t>(v));
  };
  if (size.size() != 2 || !is_size(size[0]) || !is_size(size[1]) ||
      static_cast<int64_t>(size[1]) % kGroup != 0)
    return c.error(bad_value(where + "block_structure", json["block_structure"], "[128, 128]"));
  g.block_rows = static_cast<int64_t>(size[0]);
  g.block_cols = static_cast<int64_t>(size[1]);
}

Status read_targets(ConfigReader& c, CompressedGroup& g) {
  for (const std::string& target : c.strings("targets")) {
    if (target == "Linear") {
      g.all_linear = true;
    } else if (target.starts_with("re:")) {
      QW_TRY(Pattern p, Pattern::parse(std::string_view(target).substr(3)));
      g.patterns.push_back(std::move(p));
    } else {
      g.names.push_back(target);
    }
  }
  return {};
}

// `format` of the whole checkpoint, which a group may replace.
Status read_group(const Json& json, const std::string& where, const std::string& format, CompressedGroup& g,
                  HfQuantization& q) {
  ConfigReader c(json, where);
  QW_TRY(read_targets(c, g));
  const std::string own = c.string("format", format);
  static constexpr std::string_view kExpected =
      "pack-quantized, int-quantized, float-quantized, naive-quantized";
  if (own != "pack-quantized" && own != "int-quantized" && own != "float-quantized" &&
      own != "naive-quantized")
    c.error(bad_value(where + "format", own, kExpected));
  g.packed = own == "pack-quantized";
  c.harmless({"input_activations", "output_activations"});
  const Json* weights = c.object("weights");
  if (weights == nullptr) c.error(Error("config.missing", {{"key", where + "weights"}}));
  QW_TRY(c.status());
  const std::string inner = where + "weights.";
  ConfigReader w(*weights, inner);
  w.only("type", {"int", "float"});
  g.is_float = w.string("type", "int") == "float";
  g.symmetric = w.boolean("symmetric", true);
  if (g.packed)
    w.only("num_bits", {4, 8});
  else
    w.only("num_bits", {8});
  g.bits = w.integer("num_bits", 8);
  if (g.packed && g.is_float) w.error(bad_value(inner + "type", "float", "int"));
  g.strategy = strategy_of(w, *weights);
  w.harmless({"group_size", "block_structure", "actorder", "observer", "observer_kwargs", "dynamic",
              "scale_dtype", "zp_dtype"});
  if (g.strategy == CompressedGroup::Strategy::group) g.group_size = group_size(w, *weights, inner);
  if (g.strategy == CompressedGroup::Strategy::block) read_block(w, *weights, inner, g);
  QW_TRY(w.status());
  finish(c, q);
  finish(w, q);
  return {};
}

Status read_compressed(ConfigReader& c, HfQuantization& q) {
  const std::string format = c.string("format", "dense");
  c.harmless({"quantization_status", "global_compression_ratio", "kv_cache_scheme", "ignore", "version",
              "transform_config"});
  if (const Json* sparsity = c.object("sparsity_config"); sparsity != nullptr && !sparsity->empty()) {
    ConfigReader s(*sparsity, std::string(kWhere) + "sparsity_config.");
    s.only("format", {"dense"});
    c.absorb(s);
  }
  // A rotation of weights and activations is no part of the dequantised weight alone.
  if (const Json* transform = c.object("transform_config");
      transform != nullptr && transform->contains("config_groups") && !(*transform)["config_groups"].empty())
    c.error(bad_value(std::string(kWhere) + "transform_config", *transform, "{}"));
  const Json* groups = c.object("config_groups");
  QW_TRY(c.status());
  if (groups == nullptr) return fail("config.missing", {{"key", std::string(kWhere) + "config_groups"}});
  std::string sorts;
  for (const auto& [name, group] : groups->items()) {
    CompressedGroup g;
    QW_TRY(read_group(group, fmt::format("{}config_groups.{}.", kWhere, name), format, g, q));
    const std::string sort = fmt::format(", {}{}", g.is_float ? "fp" : "int", g.bits);
    if (sorts.find(sort) == std::string::npos) sorts += sort;
    q.groups.push_back(std::move(g));
  }
  q.summary = "compressed-tensors" + sorts;
  return {};
}

}  // namespace

const CompressedGroup* HfQuantization::group_of(std::string_view module) const {
  for (const CompressedGroup& g : groups)
    for (const std::string& name : g.names)
      if (name == module) return &g;
  for (const CompressedGroup& g : groups)
    for (const Pattern& p : g.patterns)
      if (p.matches_start(module)) return &g;
  for (const CompressedGroup& g : groups)
    if (g.all_linear) return &g;
  return nullptr;
}

Result<HfQuantization> parse_quantization(const Json& json, std::string_view file) {
  HfQuantization q;
  ConfigReader c(json, std::string(kWhere));
  const std::string method = c.string("quant_method");
  QW_TRY(c.status());
  if (method == "gptq") {
    q.method = QuantMethod::gptq;
    read_gptq(c, json, q);
  } else if (method == "awq") {
    q.method = QuantMethod::awq;
    read_awq(c, json, q);
  } else if (method == "fp8") {
    q.method = QuantMethod::fp8;
    read_fp8(c, json, q);
  } else if (method == "compressed-tensors") {
    q.method = QuantMethod::compressed_tensors;
    QW_TRY(read_compressed(c, q));
  } else if (method == "bitsandbytes") {
    q.method = QuantMethod::bitsandbytes;
    read_bitsandbytes(c, q);
  } else {
    return fail("hf.quant_method", {{"file", file}, {"found", method}});
  }
  QW_TRY(c.status());
  finish(c, q);
  return q;
}

Result<std::optional<HfQuantization>> read_quantization(const Json& config, const fs::path& file) {
  static constexpr const char* kKeys[] = {"quantization_config", "compression_config"};
  const Json* holders[] = {&config, config.contains("text_config") ? &config["text_config"] : nullptr};
  for (const Json* holder : holders) {
    for (const char* key : kKeys) {
      if (holder == nullptr || !holder->is_object() || !holder->contains(key)) continue;
      const Json& found = (*holder)[key];
      if (found.is_null()) continue;
      QW_TRY(HfQuantization q, parse_quantization(found, file.string()));
      return std::optional(std::move(q));
    }
  }
  // AutoGPTQ's own file: the same keys, quant_method left out.
  const fs::path own = file.parent_path() / "quantize_config.json";
  std::error_code ec;
  if (!fs::is_regular_file(own, ec)) return std::optional<HfQuantization>();
  QW_TRY(Json json, parse_json_file(own));
  if (!json.is_object()) return fail("hf.not_object", {{"file", own.string()}});
  if (!json.contains("quant_method")) json["quant_method"] = "gptq";
  QW_TRY(HfQuantization q, parse_quantization(json, own.string()));
  return std::optional(std::move(q));
}

}  // namespace qw
