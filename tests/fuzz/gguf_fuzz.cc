// Any bytes as a GGUF file: every value, every block of every type decoded and quantised again, the
// tokenizer, the config, the architecture made of it, and all its weights.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "backend/cpu/blocks/blocks.h"
#include "io/checkpoint.h"
#include "io/gguf/gguf.h"
#include "models/model.h"
#include "quant/quantise.h"
#include "quant/recipe.h"

namespace qw {
namespace {

void read_value(const GgufValue& v) {
  static_cast<void>(v.as_int());
  static_cast<void>(v.as_number());
  static_cast<void>(v.as_bool());
  static_cast<void>(v.as_ints());
  if (const auto strings = v.as_strings())
    for (const std::string_view s : *strings)
      if (s.size() > v.type_text().size() + (size_t{1} << 40)) std::abort();
  if (const auto items = v.as_items())
    for (const GgufValue& item : *items) read_value(item);
}

// Whatever bits a block holds, it decodes inside its bounds, and what comes out is quantised or refused.
void decode_and_encode(const GgufTensor& t) {
  if (!t.type->format || traits(*t.type->format).is_float || t.shape.back() > 4096) return;
  const int64_t columns = t.shape.back();
  const auto* bytes = reinterpret_cast<const uint8_t*>(t.bytes.data());
  std::vector<float> row(static_cast<size_t>(columns));
  std::vector<std::byte> out(row.size() * 8);
  const int64_t size = row_bytes(*t.type->format, columns);
  for (int64_t r = 0; r < static_cast<int64_t>(t.bytes.size()) / size; ++r) {
    cpu::decode_groups(row.data(), bytes + r * size, static_cast<cpu::Format>(*t.type->format), 0, columns);
    for (const quant::Recipe& recipe : quant::recipes())
      if (columns % traits(recipe.base).block == 0)
        static_cast<void>(quant::quantise_row(recipe.base, row, {}, out.data()));
  }
}

class TakeAll final : public Visitor {
 public:
  explicit TakeAll(WeightSource& source) : source_(source) {}

 private:
  void on_weight(Weight& w, ShardAxis) override {
    unsigned sum = 0;
    if (const auto bytes = source_.take(w.name, w.shape.dims()))
      for (const std::byte b : bytes->bytes) sum += std::to_integer<unsigned>(b);
    if (sum == 0xffffffff) std::abort();
  }
  WeightSource& source_;
};

void run(std::span<const std::byte> bytes) {
  const auto file = GgufFile::from_memory(bytes, nullptr, "f");
  if (!file) return;
  for (const auto& [key, value] : (*file)->metadata()) read_value(value);
  for (const auto& [name, tensor] : (*file)->tensors()) decode_and_encode(tensor);
  auto checkpoint = open_checkpoint(*file);
  if (!checkpoint) return;
  auto made = make_model(checkpoint->config);
  if (!made) return;
  TakeAll visitor(*checkpoint->weights);
  made->model->visit(visitor);
  static_cast<void>(checkpoint->weights->finish());
}

}  // namespace
}  // namespace qw

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  qw::run({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
