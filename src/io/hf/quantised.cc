#include "io/hf/quantised.h"

#include <algorithm>
#include <array>
#include <utility>

#include "io/hf/quantised_schemes.h"
#include "io/hf/stacked_experts.h"

namespace qw {
namespace {

// The tensor that stands for a quantised weight, and how its packer is made.
struct Scheme {
  std::string_view suffix;
  Packer (*packer)(const HfQuantization& q, Parts& parts, const std::string& module);
};

bool is_main(QuantMethod method, const std::string& name, const SafetensorsTensor& t) {
  if (!name.ends_with(".weight")) return name.ends_with(".weight_packed") || name.ends_with(".qweight");
  switch (method) {
    case QuantMethod::fp8:
      return t.dtype == "F8_E4M3";
    case QuantMethod::compressed_tensors:
      return t.dtype == "F8_E4M3" || t.dtype == "I8";
    case QuantMethod::bitsandbytes:
      return t.dtype == "U8" || t.dtype == "I8";
    default:
      return false;
  }
}

Scheme scheme_of(QuantMethod method, const std::string& name) {
  switch (method) {
    case QuantMethod::gptq:
      return {".qweight", gptq_packer};
    case QuantMethod::awq:
      return {".qweight", awq_packer};
    case QuantMethod::fp8:
      return {".weight", fp8_packer};
    case QuantMethod::compressed_tensors:
      return {name.ends_with(".weight_packed") ? ".weight_packed" : ".weight", compressed_packer};
    case QuantMethod::bitsandbytes:
      break;
  }
  return {".weight", bitsandbytes_packer};
}

// Of a cache or of activations in 8 bits; both are floats here.
bool is_unused_scale(std::string_view name) {
  constexpr std::array<std::string_view, 4> kEnds{".k_scale", ".v_scale", ".q_scale", ".output_scale"};
  return std::any_of(kEnds.begin(), kEnds.end(), [&](std::string_view end) { return name.ends_with(end); });
}

bool is_zero_bias(const SafetensorsSet& set, const std::string& name, const SafetensorsSet::Item& item) {
  constexpr std::string_view kBias = ".bias";
  if (!name.ends_with(kBias) || !float_format(item.tensor->dtype)) return false;
  const std::string module = name.substr(0, name.size() - kBias.size());
  if (!set.tensors.contains(module + ".qweight")) return false;
  const Part bias(item);
  for (int64_t i = 0; i < bias.elements(); ++i)
    if (bias.number(i) != 0) return false;
  return true;
}

}  // namespace

Result<QuantisedTensors> quantised_tensors(const HfQuantization& q, const SafetensorsSet& set) {
  QuantisedTensors out;
  Parts parts(set);
  for (const auto& [name, item] : set.tensors) {
    if (item.tensor->dtype.starts_with("F8") && is_expert_stack(name))
      return fail("hf.f8_stacked", {{"file", item.file->path().string()}, {"tensor", name}});
    if (is_unused_scale(name)) parts.find(name);
    if (is_zero_bias(set, name, item)) out.zero_biases.insert(name);
    if (!is_main(q.method, name, *item.tensor)) continue;
    const Scheme scheme = scheme_of(q.method, name);
    if (!name.ends_with(scheme.suffix)) continue;
    const std::string module = name.substr(0, name.size() - scheme.suffix.size());
    QW_TRY(auto packer, scheme.packer(q, parts, module));
    out.weights.emplace(module + ".weight", StoredTensor{.format = packer->format(),
                                                         .shape = {packer->rows(), packer->cols()},
                                                         .bytes = item.tensor->bytes,
                                                         .holder = item.file,
                                                         .file = item.file->path().string(),
                                                         .packer = packer});
  }
  out.used = parts.used();
  return out;
}

}  // namespace qw
