#include "io/hf/text_part.h"

#include <array>
#include <utility>

namespace qw {
namespace {

constexpr auto kOtherParts = std::to_array<std::string_view>({
    "model.visual",
    "visual",
    "model.vision_tower",
    "vision_tower",
    "model.audio_tower",
    "audio_tower",
    "model.multi_modal_projector",
    "multi_modal_projector",
    "thinker.visual",
    "thinker.audio_tower",
    "thinker.model.visual",
    "thinker.model.audio_tower",
    "talker",
    "token2wav",
    "code2wav",
});

// Longest first.
constexpr auto kTextPrefixes = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"thinker.model.language_model.", "model."},
    {"model.language_model.", "model."},
    {"language_model.lm_head.", "lm_head."},
    {"language_model.model.", "model."},
    {"thinker.lm_head.", "lm_head."},
    {"thinker.model.", "model."},
    {"language_model.", "model."},
});

}  // namespace

std::string_view other_part(std::string_view name) {
  for (const std::string_view part : kOtherParts)
    if (name.starts_with(part) && name.substr(part.size()).starts_with('.')) return part;
  return {};
}

std::optional<std::string> text_tensor_name(std::string_view name) {
  if (!other_part(name).empty()) return std::nullopt;
  for (const auto& [from, to] : kTextPrefixes)
    if (name.starts_with(from)) return std::string(to) + std::string(name.substr(from.size()));
  return std::string(name);
}

}  // namespace qw
