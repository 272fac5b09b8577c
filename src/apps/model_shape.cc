#include "apps/model_shape.h"

#include <algorithm>
#include <array>

#include "apps/memory.h"
#include "base/mmap.h"
#include "core/kv_pool.h"
#include "nn/text_config.h"

namespace qw::apps {
namespace {

namespace fs = std::filesystem;

constexpr std::array<QuantFormat, 3> kFormats{QuantFormat::bf16, QuantFormat::q8_0, QuantFormat::q4_0};

class Count : public Visitor {
 public:
  int64_t parameters = 0, experts = 0;
  std::array<int64_t, kFormats.size()> bytes{};

 protected:
  void on_weight(Weight& w, ShardAxis) override {
    if (w.name.find("mtp.") != std::string::npos) return;
    const int64_t n = w.shape.elements();
    parameters += n;
    if (w.name.find(".mlp.experts.") != std::string::npos) experts += n;
    for (size_t i = 0; i < kFormats.size(); ++i) {
      const bool fits = w.shape.rank() == 2 && w.cols() % traits(kFormats[i]).block == 0;
      bytes[i] += fits ? w.rows() * row_bytes(kFormats[i], w.cols()) : n * 2;
    }
  }
};

// num_experts_per_tok / num_experts; 1 where there are no experts.
double routed_share(const Json& config) {
  const auto number = [&](const char* key) {
    const auto it = config.find(key);
    return it != config.end() && it->is_number() ? it->get<double>() : 0.0;
  };
  const double all = number("num_experts"), used = number("num_experts_per_tok");
  return all > 0 && used > 0 ? used / all : 1.0;
}

}  // namespace

int64_t ModelShape::weights_as(QuantFormat format) const {
  const auto it = std::find_if(weight_bytes.begin(), weight_bytes.end(),
                               [&](const auto& b) { return b.first == format; });
  QW_CHECK(it != weight_bytes.end(), "weights as {}", traits(format).name);
  return it->second;
}

ModelShape model_shape(Model& model, const Json& config) {
  Count count;
  model.visit(count);
  ModelShape out;
  out.parameters = count.parameters;
  out.active = count.parameters -
               static_cast<int64_t>(static_cast<double>(count.experts) * (1.0 - routed_share(config)));
  for (size_t i = 0; i < kFormats.size(); ++i) out.weight_bytes.emplace_back(kFormats[i], count.bytes[i]);
  const std::vector<LayerCache> caches = model.cache_spec();
  const auto page = static_cast<int64_t>(KvPool::page_bytes(caches, DType::f16));
  const int most = model.info().max_positions;
  std::vector<int> contexts;
  for (const int context : {4096, 32768, 131072})
    if (context < most) contexts.push_back(context);
  contexts.push_back(most);
  for (const int context : contexts)
    out.kv_bytes.emplace_back(context, (int64_t{context} + kPageTokens - 1) / kPageTokens * page);
  out.state_bytes = static_cast<int64_t>(KvPool::slot_bytes(caches, DType::f32));
  return out;
}

Result<std::optional<Json>> lone_config(const fs::path& path) {
  std::error_code ec;
  fs::path file = path;
  if (fs::is_directory(path, ec)) {
    file = path / "config.json";
    for (const fs::directory_entry& e : fs::directory_iterator(path, ec)) {
      const std::string name = e.path().filename().string();
      if (name.ends_with(".safetensors") || name == "model.safetensors.index.json")
        return std::optional<Json>();
    }
  } else if (path.extension() != ".json") {
    return std::optional<Json>();
  }
  if (!fs::exists(file, ec)) return std::optional<Json>();
  constexpr size_t kMaxBytes = size_t{64} << 20;
  QW_TRY(const std::string text, read_file(file, kMaxBytes));
  QW_TRY(const Json json, parse_json(text, file.string()));
  if (!json.is_object()) return fail("hf.not_object", {{"file", file.string()}});
  return std::optional(nn::text_config(json));
}

Json shape_json(const Model& model, const ModelShape& shape) {
  const ModelInfo& info = model.info();
  Json out{{"architecture", info.model_type},
           {"parameters", shape.parameters},
           {"active_parameters", shape.active},
           {"layers", info.n_layers},
           {"hidden", info.hidden},
           {"vocab", info.vocab},
           {"context", info.max_positions},
           {"state_bytes", shape.state_bytes}};
  for (const auto& [format, bytes] : shape.weight_bytes)
    out["weight_bytes"][std::string(traits(format).name)] = bytes;
  out["kv_bytes"] = Json::array();
  for (const auto& [context, bytes] : shape.kv_bytes)
    out["kv_bytes"].push_back({{"context", context}, {"bytes", bytes}});
  return out;
}

std::string shape_text(const Console& console, const std::string& name, const Json& shape) {
  const auto billions = [&](const char* key) {
    return fmt::format("{:.2f}", shape[key].get<double>() / 1e9);
  };
  std::vector<std::string> weights, kv;
  for (const auto& [format, bytes] : shape["weight_bytes"].items())
    weights.push_back(fmt::format("{} {}", format, bytes_text(bytes.get<size_t>())));
  for (const Json& entry : shape["kv_bytes"])
    kv.push_back(
        fmt::format("{}: {}", entry["context"].get<int>(), bytes_text(entry["bytes"].get<size_t>())));
  return console.text("ui.info_shape", {{"name", name},
                                        {"architecture", shape["architecture"].get<std::string>()},
                                        {"parameters", billions("parameters")},
                                        {"active", billions("active_parameters")},
                                        {"layers", shape["layers"].dump()},
                                        {"hidden", shape["hidden"].dump()},
                                        {"vocab", shape["vocab"].dump()},
                                        {"context", shape["context"].dump()},
                                        {"weights", fmt::format("{}", fmt::join(weights, ", "))},
                                        {"kv", fmt::format("{}", fmt::join(kv, ", "))},
                                        {"states", bytes_text(shape["state_bytes"].get<size_t>())}});
}

}  // namespace qw::apps
