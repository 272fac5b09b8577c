#include "apps/model_export.h"

#include <algorithm>

#include "apps/tokenizer_files.h"

namespace qw::apps {

std::optional<QuantFormat> format_named(std::string_view name) {
  for (const QuantFormat f : {QuantFormat::f32, QuantFormat::f16, QuantFormat::bf16, QuantFormat::q8_0})
    if (traits(f).name == name) return f;
  return std::nullopt;
}

QuantFormat usual_format(const Checkpoint& checkpoint) {
  QuantFormat best = QuantFormat::f32;
  int64_t most = 0;
  for (const auto& [name, count] : checkpoint.formats) {
    const auto format = format_named(name);
    if (!format || !traits(*format).is_float) return QuantFormat::bf16;
    if (count.elements > most) best = *format;
    most = std::max(most, count.elements);
  }
  return best;
}

Result<GgufModelPlan> gguf_plan(const Checkpoint& checkpoint, QuantFormat format) {
  GgufModelPlan plan{.config = checkpoint.config,
                     .generation = checkpoint.generation,
                     .tokenizer = {},
                     .name = checkpoint.name,
                     .format = format};
  QW_TRY(plan.tokenizer, tokenizer_for_gguf(checkpoint));
  return plan;
}

}  // namespace qw::apps
