// Any bytes as a GGUF file: every value, the tokenizer, the config, the architecture made of it, and all its
// weights.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "io/checkpoint.h"
#include "io/gguf.h"
#include "models/model.h"

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
