// The explicit table of architectures: model_type → maker.
#include <array>
#include <string_view>

#include "models/decoder.h"
#include "models/hybrid.h"
#include "models/qwen.h"
#include "nn/load.h"
#include "nn/text_config.h"

namespace qw {
namespace {

struct Architecture {
  std::string_view model_type;
  Result<std::unique_ptr<Model>> (*make)(const Json& config, std::vector<Error>& warnings);
};

constexpr auto kArchitectures = std::to_array<Architecture>({
    {"llama", make_decoder},
    {"qwen", make_qwen},
    {"qwen2", make_decoder},
    {"qwen2_moe", make_decoder},
    {"qwen3", make_decoder},
    {"qwen3_moe", make_decoder},
    {"qwen3_next", make_hybrid},
    {"qwen3_5", make_hybrid},
    {"qwen3_5_text", make_hybrid},
    {"qwen3_5_moe", make_hybrid},
    {"qwen3_5_moe_text", make_hybrid},
});

}  // namespace

Result<LoadedModel> make_model(const Json& whole) {
  const Json config = nn::text_config(whole);
  const auto type = config.find("model_type");
  if (type == config.end() || !type->is_string()) return fail("config.missing", {{"key", "model_type"}});
  for (const Architecture& a : kArchitectures) {
    if (a.model_type != type->get_ref<const std::string&>()) continue;
    LoadedModel out;
    QW_TRY(out.model, a.make(config, out.warnings));
    return out;
  }
  std::string known;
  for (const Architecture& a : kArchitectures)
    known += (known.empty() ? "" : ", ") + std::string(a.model_type);
  return fail("model.unknown_type", {{"found", type->get<std::string>()}, {"known", known}});
}

Result<LoadedModel> load_model(const Json& config, WeightSource& source, Backend& backend,
                               const LoadOptions& options) {
  QW_TRY(LoadedModel out, make_model(config));
  if (options.strict && !out.warnings.empty()) return tl::unexpected<Error>(out.warnings.front());
  nn::LoadVisitor load(backend, source, options.trainable);
  out.model->visit(load);
  if (out.model->tied_head()) source.ignore("lm_head.weight");
  QW_TRY(load.finish());
  freeze_drafting(*out.model);
  return out;
}

void freeze_drafting(Model& model) {
  WeightList list;
  model.visit(list);
  for (Weight* w : list.weights())
    if (w->name.starts_with("mtp.")) w->trainable = false;
}

}  // namespace qw
