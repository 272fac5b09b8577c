// A real checkpoint whose weights are set so that each token is always followed by the same next one:
// attention and MLP add nothing, the head maps one token to the other. So a test can hold what the program
// does with an answer, tool calls above all, that no random model would give.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace qw::e2e {

// Tokens (each becomes one added token of the tokenizer) and what follows them. "<|im_end|>" ends an answer.
using Script = std::vector<std::pair<std::string, std::string>>;

// Writes config.json, model.safetensors and the tokenizer's files with this chat template into `folder`.
// `ffn` sizes the layer that adds nothing.
void write_scripted_model(const std::filesystem::path& folder, const Script& script,
                          const std::string& chat_template, int ffn = 32);

}  // namespace qw::e2e
