#include "io/stored_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace qw {
namespace {

constexpr size_t kNamed = 3;  // leftovers named in the error

// Alignment that the element type of a format wants: its own size, and that of the f16 scales of the block
// formats.
size_t alignment_of(QuantFormat f) {
  return traits(f).is_float ? static_cast<size_t>(traits(f).block_bytes) : 2;
}

using Bytes = std::vector<std::byte>;  // from operator new: aligned for every format

WeightBytes owned(const StoredTensor& t, std::shared_ptr<const Bytes> bytes) {
  const std::span<const std::byte> view(*bytes);
  return {t.format, t.shape, view, std::move(bytes)};
}

// llama.cpp's converter interleaves the two halves of each head of q and k for its pairwise rotation: its row
// 2 j + s of a head is row s hd/2 + j of the original. Whole rows move, so this works in every row-wise
// format.
WeightBytes in_rotary_order_of_hf(const StoredTensor& t) {
  const auto rows = static_cast<size_t>(t.shape[0]);
  const size_t row_size = t.bytes.size() / rows;
  const size_t head_rows = rows / static_cast<size_t>(t.rotary_heads);
  auto bytes = std::make_shared<Bytes>(t.bytes.size());
  for (size_t row = 0; row < rows; ++row) {
    const size_t head = row / head_rows;
    const size_t s = row % head_rows / (head_rows / 2);
    const size_t j = row % (head_rows / 2);
    const size_t from = head * head_rows + 2 * j + s;
    std::memcpy(bytes->data() + row * row_size, t.bytes.data() + from * row_size, row_size);
  }
  return owned(t, std::move(bytes));
}

// nvfp4 with its scale before every block.
WeightBytes with_scale(const WeightBytes& w, float scale) {
  const auto from = static_cast<size_t>(traits(QuantFormat::nvfp4).block_bytes);
  const auto to = static_cast<size_t>(traits(QuantFormat::nvfp4_s).block_bytes);
  auto bytes = std::make_shared<Bytes>(w.bytes.size() / from * to);
  for (size_t i = 0; i < w.bytes.size() / from; ++i) {
    std::memcpy(bytes->data() + i * to, &scale, sizeof scale);
    std::memcpy(bytes->data() + i * to + sizeof scale, w.bytes.data() + i * from, from);
  }
  WeightBytes out = w;
  out.format = QuantFormat::nvfp4_s;
  out.bytes = *bytes;
  out.holder = std::move(bytes);
  return out;
}

bool is_inv_freq(std::string_view name) {
  return name.ends_with(".rotary_emb.inv_freq");
}

}  // namespace

std::optional<QuantFormat> float_format(std::string_view dtype) {
  if (dtype == "F32") return QuantFormat::f32;
  if (dtype == "F16") return QuantFormat::f16;
  if (dtype == "BF16") return QuantFormat::bf16;
  return std::nullopt;
}

StoredWeights::~StoredWeights() = default;

std::vector<std::string> StoredWeights::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  return names;
}

Result<WeightBytes> StoredWeights::take(std::string_view name, std::span<const int64_t> shape) {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) return fail("weights.missing", {{"file", file_}, {"tensor", name}});
  const StoredTensor t = it->second;
  if (!std::equal(shape.begin(), shape.end(), t.shape.begin(), t.shape.end()))
    return fail("weights.shape", {{"file", t.file},
                                  {"tensor", name},
                                  {"expected", fmt::format("[{}]", fmt::join(shape, ", "))},
                                  {"found", fmt::format("[{}]", fmt::join(t.shape, ", "))}});
  tensors_.erase(it);
  QW_TRY(WeightBytes out, bytes_of(name, t));
  if (!t.input_order.empty()) out.input_order = t.input_order;
  return out;
}

Result<WeightBytes> StoredWeights::bytes_of(std::string_view name, const StoredTensor& t) {
  if (t.packer) return packed(name, t);
  const auto restored = [&] { return owned(t, std::make_shared<Bytes>(t.restore(t))); };
  if (!t.scales.empty())
    return with_scale(t.restore            ? restored()
                      : t.rotary_heads > 0 ? in_rotary_order_of_hf(t)
                                           : WeightBytes{t.format, t.shape, t.bytes, t.holder},
                      t.scales.front());
  if (t.restore) return restored();
  if (t.rotary_heads > 0) return in_rotary_order_of_hf(t);
  if (reinterpret_cast<uintptr_t>(t.bytes.data()) % alignment_of(t.format) != 0)
    return owned(t, std::make_shared<Bytes>(t.bytes.begin(), t.bytes.end()));
  return WeightBytes{t.format, t.shape, t.bytes, t.holder};
}

Result<WeightBytes> StoredWeights::packed(std::string_view name, const StoredTensor& t) {
  constexpr int64_t kRows = 32;  // of a task; whole tiles of every packer
  if (!pool_) pool_ = std::make_unique<ThreadPool>(available_cores());
  const int64_t row = t.packer->row_size();
  auto bytes = std::make_shared<Bytes>(static_cast<size_t>(t.packer->rows() * row));
  std::atomic<bool> numbers = true;
  pool_->parallel_for(t.packer->rows(), kRows, [&](int64_t begin, int64_t end, int) {
    if (!t.packer->pack(begin, end, bytes->data() + begin * row)) numbers = false;
  });
  if (!numbers) return fail("hf.quant_nan", {{"file", t.file}, {"tensor", name}});
  WeightBytes out = owned(t, std::move(bytes));
  out.input_order = t.packer->input_order();
  return out;
}

void StoredWeights::ignore(std::string_view name) {
  if (const auto it = tensors_.find(name); it != tensors_.end()) tensors_.erase(it);
}

Status StoredWeights::finish() {
  pool_.reset();
  std::string first;
  size_t n = 0;
  for (const auto& [name, tensor] : tensors_) {
    if (is_inv_freq(name) || tensor.may_be_left) continue;
    if (n < kNamed) first += (n == 0 ? "" : ", ") + name;
    ++n;
  }
  if (n == 0) return {};
  return fail("weights.leftover", {{"file", file_}, {"tensor", first}, {"count", n}});
}

}  // namespace qw
