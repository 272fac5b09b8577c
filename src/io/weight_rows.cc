#include "io/weight_rows.h"

#include <algorithm>
#include <numeric>

namespace qw {
namespace {

constexpr int64_t kPortion = int64_t{1} << 22;  // elements: 16 MB of f32
constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
constexpr std::string_view kHead = "lm_head.weight";

}  // namespace

WeightRows::WeightRows(const std::vector<Weight*>& weights, Backend& backend,
                       std::shared_ptr<const AdapterSet> adapter)
    : backend_(backend), adapter_(std::move(adapter)), arena_(backend) {
  QW_CHECK(backend.real() == DType::f32, "weights are written from a backend of f32");
  size_t used = 0;
  for (const Weight* w : weights) {
    const Lora* lora = adapter_ ? adapter_->find(w->name) : nullptr;
    used += lora != nullptr ? 1 : 0;
    // An adapter never changes the embedding itself, only its second use as the head.
    unties_head_ = unties_head_ || (lora != nullptr && w->name == kEmbedding);
    items_.push_back({w->name, w->shape});
    sources_.push_back({w, w->name == kEmbedding ? nullptr : lora});
    if (lora == nullptr || w->name != kEmbedding) continue;
    items_.push_back({std::string(kHead), w->shape});
    sources_.push_back({w, lora});
  }
  QW_CHECK(!adapter_ || used == adapter_->all().size(), "an adapter of another model");
}

void WeightRows::read(size_t i, int64_t begin, int64_t end, std::span<float> out) {
  const auto& [weight, lora] = sources_[i];
  arena_.reset();
  if (weight->shape.rank() == 1) {
    const Tensor values = arena_.alloc({end - begin}, DType::f32);
    backend_.copy(values, weight->data.slice(0, begin, end - begin));
    backend_.download(out.data(), values);
    return;
  }
  const Tensor rows = arena_.alloc({end - begin, weight->cols()}, DType::f32);
  std::vector<int32_t> ids(static_cast<size_t>(end - begin));
  std::iota(ids.begin(), ids.end(), static_cast<int32_t>(begin));
  backend_.embedding(rows, arena_.upload(ids), *weight);  // whatever the format
  if (lora != nullptr) {
    const Tensor delta = arena_.alloc(rows.shape(), DType::f32);
    backend_.linear_dx(delta, lora->b.data.slice(0, begin, end - begin), lora->a);  // B · A
    backend_.axpy(rows, lora->scale, delta);
  }
  backend_.download(out.data(), rows);
}

Status WeightRows::for_each_portion(size_t i,
                                    const std::function<Status(int64_t, std::span<const float>)>& take) {
  const Shape& shape = items_[i].shape;
  const int64_t width = shape.rank() == 1 ? 1 : shape[-1];
  const int64_t portion = std::max<int64_t>(kPortion / std::max<int64_t>(width, 1), 1);
  std::vector<float> values;
  for (int64_t row = 0; row < shape[0]; row += portion) {
    const int64_t end = std::min(row + portion, shape[0]);
    values.resize(static_cast<size_t>((end - row) * width));
    read(i, row, end, values);
    QW_TRY(take(row, values));
  }
  return {};
}

}  // namespace qw
