#include "io/save_weights.h"

#include "io/safetensors_writer.h"

namespace qw {
namespace {

std::string dtype_name(QuantFormat format) {
  switch (format) {
    case QuantFormat::f32:
      return "F32";
    case QuantFormat::f64:
      return "F64";
    case QuantFormat::f16:
      return "F16";
    case QuantFormat::bf16:
      return "BF16";
    default:
      return "";
  }
}

}  // namespace

Status save_weights(const std::filesystem::path& file, const std::vector<Weight*>& weights,
                    Backend& backend) {
  std::vector<SafetensorsPlan> plans;
  for (const Weight* w : weights) {
    if (!traits(w->format).is_float)
      return fail("save.quantised", {{"tensor", w->name}, {"format", traits(w->format).name}});
    plans.push_back({w->name, dtype_name(w->format), {w->shape.dims().begin(), w->shape.dims().end()}});
  }
  QW_TRY(SafetensorsWriter writer, SafetensorsWriter::create(file, plans, {{"format", "pt"}}));
  std::vector<std::byte> bytes;
  for (size_t i = 0; i < weights.size(); ++i) {
    bytes.resize(weights[i]->data.bytes());
    backend.download(bytes.data(), weights[i]->data);
    QW_TRY(writer.write(i, 0, std::span<const std::byte>(bytes)));
  }
  return writer.finish();
}

}  // namespace qw
