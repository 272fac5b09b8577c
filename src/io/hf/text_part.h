// The tensors of the text model in a checkpoint that holds more. Test: tests/io/text_part_test.cc
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace qw {

// The name that the text model alone gives a tensor: "model.language_model.layers.0.…" and
// "thinker.model.layers.0.…" → "model.layers.0.…"; a plain name as it is. None where the tensor belongs to
// another part.
std::optional<std::string> text_tensor_name(std::string_view name);

// The part that such a tensor belongs to: "model.visual", "thinker.audio_tower", "talker", …
std::string_view other_part(std::string_view name);

}  // namespace qw
