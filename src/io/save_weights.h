// Writes the weights of a model as one safetensors file, under their Hugging Face names and in the float
// formats in which they stand in memory. Test: tests/golden/save_test.cc
#pragma once

#include <filesystem>
#include <vector>

#include "core/backend.h"
#include "core/weight.h"

namespace qw {

// Errors: save.quantised (args tensor, format): safetensors has no such block format; file.write.
Status save_weights(const std::filesystem::path& file, const std::vector<Weight*>& weights, Backend& backend);

}  // namespace qw
