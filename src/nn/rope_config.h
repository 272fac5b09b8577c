// Rotary frequencies from a config, in both spellings (hub: rope_theta + rope_scaling; transformers 5:
// rope_parameters). Formulas as in transformers' modeling_rope_utils.py: default, linear (Chen et al. 2023),
// yarn (Peng et al. 2023), llama3. Test: tests/nn/config_reader_test.cc
#pragma once

#include "nn/config_reader.h"
#include "ops/rope.h"

namespace qw::nn {

struct RopeConfig {
  ops::RopeSpec spec;
  int max_positions =
      0;  // yarn: original_max_position_embeddings · factor where that is more than max_position_embeddings
};

// theta^(−2i/dim) of pair i < dim/2, in the f32 steps of the reference.
std::vector<float> rope_frequencies(double theta, int dim);

// `rotary_dim` dimensions of a head rotate; `max_positions` is max_position_embeddings; `default_theta` the
// reference class's rope_theta where the config names none. Errors stay in `c` (rope.unknown_type: key,
// found; config.*).
RopeConfig read_rope(ConfigReader& c, int rotary_dim, int max_positions, double default_theta);

}  // namespace qw::nn
