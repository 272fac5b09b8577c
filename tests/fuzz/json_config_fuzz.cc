// Any text as config.json and generation_config.json: parsed, the stop set read, the architecture made;
// and as a quantization_config.
#include <cstdint>

#include "base/json.h"
#include "io/generation.h"
#include "io/hf/quantization.h"
#include "models/model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = qw::parse_json({reinterpret_cast<const char*>(data), size}, "f");
  if (!json) return 0;
  static_cast<void>(qw::to_json_line(*json));
  if (auto generation = qw::parse_generation_config(*json, "f"))
    static_cast<void>(qw::add_stop_ids(*json, "f", *generation));
  static_cast<void>(qw::parse_quantization(*json, "f"));
  if (json->is_object()) static_cast<void>(qw::make_model(*json));
  return 0;
}
