// The text model inside a config that describes more (a vision or audio tower, a talker): Qwen bodies are
// embedded by many families, and the nested config decides what they are. Test: tests/nn/text_config_test.cc
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace qw::nn {

// `config` as the text model alone would have it: text_config (thinker_config.text_config for the omni
// models) where there is one, whatever the outer model_type, with the outer tie_word_embeddings and dtype
// where it names none; model_type by text_model_type(); the keys of the other parts gone. A plain config
// comes back as it is.
Json text_config(const Json& config);

// "qwen3_vl_text" → "qwen3", "qwen2_5_vl" → "qwen2", …: embedded bodies that compute what another type does
// where the three rows of positions are equal, as they are for text. Others come back as they are.
std::string_view text_model_type(std::string_view model_type);

}  // namespace qw::nn
