#include "nn/window_config.h"

namespace qw::nn {

std::vector<int> read_windows(ConfigReader& c, WindowRule rule, int n_layers) {
  const bool use = c.boolean("use_sliding_window", false);
  // Where it is not used it may be anything (Qwen2MoeConfig makes it 0). Default: Qwen2Config's.
  const int window = use ? c.optional_integer("sliding_window").value_or(4096) : 0;
  c.harmless({"sliding_window"});
  // max_window_layers may be 0 (every layer slides), so it is read as a number. Default: Qwen2Config's.
  const double border = c.number("max_window_layers", 28.0);
  std::vector<std::string> types;
  if (rule != WindowRule::every_layer) types = c.strings("layer_types");
  std::vector<int> out(static_cast<size_t>(n_layers), 0);
  if (!types.empty() && types.size() != out.size())
    c.error(
        Error("config.length", {{"key", "layer_types"}, {"expected", n_layers}, {"found", types.size()}}));
  if (!c.status()) return out;
  for (size_t il = 0; il < out.size(); ++il) {
    const bool below = static_cast<double>(il) < border;
    bool slides = rule == WindowRule::every_layer ||
                  (rule == WindowRule::from_max_layer ? !below : below && il % 2 == 0);
    if (!types.empty()) {
      slides = types[il] == "sliding_attention";
      if (!slides && types[il] != "full_attention")
        c.error(Error("config.value", {{"key", "layer_types"},
                                       {"found", types[il]},
                                       {"expected", "full_attention, sliding_attention"}}));
    }
    if (use && slides) out[il] = window;
  }
  return out;
}

}  // namespace qw::nn
