#include "nn/text_config.h"

#include <array>
#include <utility>

namespace qw::nn {
namespace {

using Row = std::pair<std::string_view, std::string_view>;

constexpr auto kTypes = std::to_array<Row>({
    {"qwen2_vl", "qwen2"},
    {"qwen2_vl_text", "qwen2"},
    {"qwen2_5_vl", "qwen2"},
    {"qwen2_5_vl_text", "qwen2"},
    {"qwen2_5_omni_text", "qwen2"},
    {"qwen3_vl_text", "qwen3"},
    {"qwen3_vl_moe_text", "qwen3_moe"},
    {"qwen3_omni_moe_text", "qwen3_moe"},
});

// Of the architectures as transformers names the text model alone; what is saved says what it is.
constexpr auto kClasses = std::to_array<Row>({
    {"qwen2", "Qwen2ForCausalLM"},
    {"qwen2_moe", "Qwen2MoeForCausalLM"},
    {"qwen3", "Qwen3ForCausalLM"},
    {"qwen3_moe", "Qwen3MoeForCausalLM"},
    {"qwen3_next", "Qwen3NextForCausalLM"},
    {"qwen3_5_text", "Qwen3_5ForCausalLM"},
    {"qwen3_5_moe_text", "Qwen3_5MoeForCausalLM"},
});

// What flat configs of the older vision models say of the other parts.
constexpr auto kOtherParts = std::to_array<std::string_view>(
    {"vision_config", "audio_config", "talker_config", "token2wav_config", "code2wav_config",
     "vision_start_token_id", "vision_end_token_id", "vision_token_id", "image_token_id", "video_token_id",
     "audio_token_id", "audio_start_token_id", "audio_end_token_id", "deepstack_visual_indexes"});

const Json* nested(const Json& config) {
  for (const char* outer : {"thinker_config", ""}) {
    const Json* c = &config;
    if (*outer != '\0') {
      const auto it = config.find(outer);
      if (it == config.end() || !it->is_object()) continue;
      c = &*it;
    }
    const auto text = c->find("text_config");
    if (text != c->end() && text->is_object()) return &*text;
  }
  return nullptr;
}

}  // namespace

std::string_view text_model_type(std::string_view model_type) {
  for (const auto& [from, to] : kTypes)
    if (from == model_type) return to;
  return model_type;
}

Json text_config(const Json& config) {
  if (!config.is_object()) return config;
  const auto type_of = [](const Json& c) {
    const auto it = c.find("model_type");
    return it != c.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  const Json* inner = nested(config);
  Json out = inner != nullptr ? *inner : config;
  const std::string own = type_of(out), type = own.empty() ? type_of(config) : own;
  if (!type.empty()) out["model_type"] = std::string(text_model_type(type));
  if (inner != nullptr)
    for (const char* key : {"tie_word_embeddings", "torch_dtype", "dtype", "transformers_version"})
      if (config.contains(key) && (!out.contains(key) || out[key].is_null())) out[key] = config[key];
  if (inner == nullptr && type == type_of(out)) return out;
  for (const std::string_view key : kOtherParts) out.erase(std::string(key));
  for (const auto& [name, hf_class] : kClasses)
    if (out["model_type"] == std::string(name)) out["architectures"] = Json::array({std::string(hf_class)});
  return out;
}

}  // namespace qw::nn
