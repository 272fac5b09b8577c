// Which layers attend through a sliding window. Test: tests/nn/config_reader_test.cc, tests/golden (sliding
// cases)
#pragma once

#include <vector>

#include "nn/config_reader.h"

namespace qw::nn {

// Where a config does not name the layers one by one (layer_types), the reference classes differ: Qwen2Config
// and Qwen3Config slide from max_window_layers on, Qwen2MoeConfig in the even layers below it, Qwen3MoeConfig
// in all.
enum class WindowRule { from_max_layer, even_below_max_layer, every_layer };

// The window of every layer, 0: full attention. Errors stay in `c` (config.length, config.value).
std::vector<int> read_windows(ConfigReader& c, WindowRule rule, int n_layers);

}  // namespace qw::nn
