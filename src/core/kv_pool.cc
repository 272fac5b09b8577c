#include "core/kv_pool.h"

#include <algorithm>
#include <cmath>

namespace qw {
namespace {

constexpr int64_t kSums = 4096;

int64_t page_elements(const CacheSpec& s) {
  return int64_t{s.kv_heads} * s.head_dim * kPageTokens;
}

Result<Tensor> zeros(Backend& backend, const Shape& shape, DType dtype) {
  const size_t bytes = static_cast<size_t>(shape.elements()) * static_cast<size_t>(traits(dtype).bytes);
  QW_TRY(StoragePtr storage, backend.alloc(std::max<size_t>(bytes, 1)));
  return Tensor(std::move(storage), 0, shape, dtype);
}

}  // namespace

Result<std::unique_ptr<KvPool>> KvPool::create(Backend& backend, const std::vector<LayerCache>& layers,
                                               const KvPoolOptions& options) {
  std::unique_ptr<KvPool> pool(new KvPool(backend, options));
  for (int il = 0; il < static_cast<int>(layers.size()); ++il) {
    Layer layer;
    for (const CacheSpec& spec : layers[static_cast<size_t>(il)]) {
      if (spec.kind == CacheSpec::Kind::recurrent) {
        QW_CHECK(!layer.state.defined(), "layer {} has two recurrent states", il);
        QW_TRY(layer.state, zeros(backend, {options.n_slots, spec.floats}, backend.real()));
        pool->state_bytes_per_slot_ +=
            static_cast<size_t>(spec.floats) * static_cast<size_t>(traits(backend.real()).bytes);
        continue;
      }
      QW_CHECK(layer.group < 0, "layer {} has two paged caches", il);
      const auto same = [&](const Group& g) { return g.spec == spec; };
      auto it = std::find_if(pool->groups_.begin(), pool->groups_.end(), same);
      if (it == pool->groups_.end()) it = pool->groups_.insert(it, Group{spec, {}});
      it->layers.push_back(il);
      layer.group = static_cast<int>(it - pool->groups_.begin());
      QW_TRY(layer.k,
             zeros(backend, {options.n_pages, spec.kv_heads, spec.head_dim, kPageTokens}, options.dtype));
      QW_TRY(layer.v,
             zeros(backend, {options.n_pages, spec.kv_heads, kPageTokens, spec.head_dim}, options.dtype));
    }
    pool->layers_.push_back(std::move(layer));
  }
  if (pool->has_recurrent()) {
    QW_TRY(pool->sums_, zeros(backend, {kSums}, backend.real()));
  }
  return pool;
}

int KvPool::group_of(int layer) const {
  const int group = layers_[static_cast<size_t>(layer)].group;
  QW_CHECK(group >= 0, "layer {} has no paged cache", layer);
  return group;
}

void KvPool::clear_slot(int slot) {
  for (const Layer& l : layers_)
    if (l.state.defined()) backend_.fill(l.state.slice(0, slot, 1), 0.0);
}

void KvPool::copy_slot(int to, int from) {
  for (const Layer& l : layers_)
    if (l.state.defined()) backend_.copy(l.state.slice(0, to, 1), l.state.slice(0, from, 1));
}

bool KvPool::slot_is_finite(int slot) {
  // Sums down the columns of the state seen as a matrix, all layers into one row: only a NaN or an infinity
  // makes a sum that is not finite.
  backend_.fill(sums_, 0.0);
  for (const Layer& l : layers_) {
    if (!l.state.defined()) continue;
    const int64_t n = l.state.dim(1);
    int64_t width = kSums;
    while (n % width != 0) width /= 2;
    backend_.sum_rows(sums_.slice(0, 0, width), l.state.slice(0, slot, 1).view({n / width, width}));
  }
  const auto finite = [&](auto type) {
    std::vector<decltype(type)> sums(kSums);
    backend_.download(sums.data(), sums_);
    return std::all_of(sums.begin(), sums.end(), [](auto x) { return std::isfinite(x); });
  };
  return backend_.real() == DType::f64 ? finite(double{}) : finite(float{});
}

void KvPool::copy_page(int to, int from) {
  for (const Layer& l : layers_) {
    if (!l.k.defined()) continue;
    backend_.copy(l.k.slice(0, to, 1), l.k.slice(0, from, 1));
    backend_.copy(l.v.slice(0, to, 1), l.v.slice(0, from, 1));
  }
}

size_t KvPool::page_bytes(const std::vector<LayerCache>& layers, DType dtype) {
  int64_t n = 0;
  for (const LayerCache& l : layers)
    for (const CacheSpec& s : l)
      if (s.kind != CacheSpec::Kind::recurrent) n += 2 * page_elements(s);
  return static_cast<size_t>(n) * static_cast<size_t>(traits(dtype).bytes);
}

size_t KvPool::slot_bytes(const std::vector<LayerCache>& layers, DType real) {
  int64_t n = 0;
  for (const LayerCache& l : layers)
    for (const CacheSpec& s : l)
      if (s.kind == CacheSpec::Kind::recurrent) n += s.floats;
  return static_cast<size_t>(n) * static_cast<size_t>(traits(real).bytes);
}

}  // namespace qw
