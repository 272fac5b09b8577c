// What a checkpoint says about generating: the stop set and its sampling defaults. Test:
// tests/io/hf_folder_test.cc
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace qw {

// Every field is absent where the checkpoint does not say.
struct GenerationDefaults {
  std::vector<int32_t> stop_ids;  // sorted, each once
  std::optional<bool> do_sample;  // false: greedy
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int32_t> top_k;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
};

// From generation_config.json; the stop set falls back to eos_token_id of config.json (an id, a list or null
// in both), as transformers does for folders without generation_config.json. Errors: generation.value (args
// file, key, found).
Result<GenerationDefaults> parse_generation_config(const Json& generation, std::string_view file);
// Adds eos_token_id of `config` to an empty stop set. Errors: generation.value.
Status add_stop_ids(const Json& config, std::string_view file, GenerationDefaults& to);

// Sorts the stop ids and drops repeats.
void normalize_stop_ids(GenerationDefaults& g);

}  // namespace qw
