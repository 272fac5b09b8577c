// What a config alone says of a model: numbers of parameters, and the memory of its weights by format, of
// keys and values by context, of recurrent states. Nothing is loaded. Test: tests/apps/model_shape_test.cc
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "apps/console.h"
#include "base/json.h"
#include "models/model.h"

namespace qw::apps {

struct ModelShape {
  int64_t parameters = 0;  // of the text model, without the layers that only predict further tokens (mtp.*)
  int64_t active = 0;  // of these, what one token is multiplied with: of the experts, those it is routed to
  // Bytes of the weights: matrices in the format as far as it divides their rows, all else in bf16.
  std::vector<std::pair<QuantFormat, int64_t>> weight_bytes;  // bf16, q8_0, q4_0
  std::vector<std::pair<int, int64_t>> kv_bytes;  // f16, by context: 4096, 32768, …, the largest
  int64_t state_bytes = 0;                        // recurrent, of one sequence

  int64_t weights_as(QuantFormat format) const;
};

// `config` as make_model took it.
ModelShape model_shape(Model& model, const Json& config);

// The config of a lone config.json, or of a folder that has one but no weights, of the text model alone; none
// for anything else. Errors: json.*, file.*.
Result<std::optional<Json>> lone_config(const std::filesystem::path& path);

Json shape_json(const Model& model, const ModelShape& shape);
std::string shape_text(const Console& console, const std::string& name, const Json& shape);

}  // namespace qw::apps
