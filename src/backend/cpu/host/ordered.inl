// Members of CpuBackend: weights whose columns lie in another order (Weight::input_order). Their inputs are
// put in that order before a product, their outputs back after one. Included by cpu_backend.cc.
#pragma once

#include "backend/cpu/cpu_impl.h"
#include "backend/cpu/host/memory.inl"

namespace qw::cpu {

// [m, k], kept for the next call; the one before is gone.
template <class Real>
Tensor CpuBackend<Real>::ordered_room(int64_t m, int64_t k) {
  const size_t bytes = static_cast<size_t>(m * k) * sizeof(Real);
  if (!ordered_ || ordered_->bytes() < bytes) {
    Result<StoragePtr> room = alloc(bytes);
    QW_CHECK(room.has_value(), "out of memory for {} bytes of ordered columns", bytes);
    ordered_ = *std::move(room);
  }
  return Tensor(ordered_, 0, {m, k}, real());
}

// to[t, j] = x[t, order[j]]; a copy where `w` has no order.
template <class Real>
void CpuBackend<Real>::to_order(const Tensor& to, const Tensor& x, const Weight& w) {
  if (!w.input_order.defined()) return copy(to, x);
  const int32_t* order = ints(w.input_order);
  const RowsOf<Real> in(x), out(to);
  const int64_t k = w.cols();
  split(in.n(), k, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const Real* from = in[t];
      Real* row = out[t];
      for (int64_t j = 0; j < k; ++j) row[j] = from[order[j]];
    }
  });
}

// to[t, order[j]] = y[t, j].
template <class Real>
void CpuBackend<Real>::from_order(const Tensor& to, const Tensor& y, const Weight& w) {
  const int32_t* order = ints(w.input_order);
  const RowsOf<Real> in(y), out(to);
  const int64_t k = w.cols();
  split(in.n(), k, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const Real* from = in[t];
      Real* row = out[t];
      for (int64_t j = 0; j < k; ++j) row[order[j]] = from[j];
    }
  });
}

template <class Real>
Tensor CpuBackend<Real>::in_order(const Tensor& x, const Weight& w) {
  if (!w.input_order.defined()) return x;
  const Tensor to = ordered_room(x.dim(0), x.dim(1));
  to_order(to, x, w);
  return to;
}

}  // namespace qw::cpu
