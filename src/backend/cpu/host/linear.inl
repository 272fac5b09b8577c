// Members of CpuBackend: products with weights and their gradients. Included by cpu_backend.cc.
#pragma once

#include "backend/cpu/cpu_impl.h"
#include "backend/cpu/host/memory.inl"
#include "backend/cpu/host/ordered.inl"
#include "backend/cpu/host/product.inl"

namespace qw::cpu {

template <class Real>
LinearCall<Real> CpuBackend<Real>::linear_call(const Tensor& out, const Tensor& x, const Weight& w,
                                               const Tensor& bias) const {
  return {ptr(out),      ptr(x),   bytes(w),      bias.defined() ? ptr(bias) : nullptr,
          x.dim(0),      x.dim(1), out.stride(0), x.stride(0),
          weight_row(w), format(w)};
}

// Ranges are whole tiles of weight rows: few enough to share evenly, large enough to reuse a panel.
template <class Real>
int64_t CpuBackend<Real>::linear_grain(int64_t tiles, int64_t m, int64_t k) const {
  const int64_t share = (tiles + 4 * pool_.threads() - 1) / (4 * pool_.threads());
  const int64_t least = kInlineCost / std::max<int64_t>(m * k * kMaxTileN, 1) + 1;
  return std::max(least, m > 3 ? std::min<int64_t>(share, kPanelRows / kMaxTileN) : share);
}

template <class Real>
void CpuBackend<Real>::linear(const Tensor& out, const Tensor& x, const Weight& w, const Tensor& bias) {
  const int64_t m = x.dim(0), k = x.dim(1), n = w.rows();
  QW_CHECK(w.cols() == k && out.dim(0) == m && out.dim(1) == n && x.rows_dense(),
           "linear of {} with {} to {}", x.shape().str(), w.shape.str(), out.shape().str());
  if (m == 0 || n == 0) return;
  const Tensor in = in_order(x, w);
  if (packs_forward_ && k > 0) return linear_packed(out, in, w, bias);
  const LinearCall<Real> call = linear_call(out, in, w, bias);
  reserve_scratch(kPanelRows * (k + 16));
  const int64_t tiles = (n + kMaxTileN - 1) / kMaxTileN;
  pool_.parallel_for(tiles, linear_grain(tiles, m, k), [&](int64_t begin, int64_t end, int thread) {
    table_.linear(call, begin * kMaxTileN, std::min(end * kMaxTileN, n), scratch(thread));
  });
}

// B[k, n] = wᵀ: rows of w are columns of B.
template <class Real>
void CpuBackend<Real>::linear_packed(const Tensor& out, const Tensor& x, const Weight& w,
                                     const Tensor& bias) {
  const ProductKernels<Real>& kernels = *products_;
  packed_product(kernels,
                 {ptr(out), ptr(x), bias.defined() ? ptr(bias) : nullptr, x.dim(0), w.rows(), x.dim(1),
                  out.stride(0), x.stride(0), 1, false},
                 [&](Real* dst, int64_t n, int64_t columns, int64_t k, int64_t depth, int thread) {
                   if (const Real* real = real_rows(w); real != nullptr)
                     return kernels.pack_b({dst, real + n * w.cols() + k, columns, depth, w.cols(), 1});
                   Real* const rows = scratch(thread);
                   for (int64_t i = 0; i < columns; ++i)
                     table_.dequantise(rows + i * depth, bytes(w) + (n + i) * weight_row(w), format(w), k,
                                       depth);
                   kernels.pack_b({dst, rows, columns, depth, depth, 1});
                 });
}

// B = w: rows of w run along k.
template <class Real>
void CpuBackend<Real>::linear_dx(const Tensor& dx, const Tensor& dout, const Weight& w) {
  const int64_t m = dout.dim(0), n = w.rows(), k = w.cols();
  QW_CHECK(dout.dim(1) == n && dx.dim(0) == m && dx.dim(1) == k && dout.rows_dense(),
           "linear_dx of {} with {} to {}", dout.shape().str(), w.shape.str(), dx.shape().str());
  if (m == 0 || k == 0) return;
  if (n == 0) return fill(dx, 0.0);
  const Tensor to = w.input_order.defined() ? ordered_room(m, k) : dx;
  packed_product(*products_, {ptr(to), ptr(dout), nullptr, m, k, n, to.stride(0), dout.stride(0), 1, false},
                 [&](Real* dst, int64_t column, int64_t columns, int64_t row, int64_t depth, int thread) {
                   if (const Real* real = real_rows(w); real != nullptr)
                     return products_->pack_b({dst, real + row * k + column, columns, depth, 1, k});
                   Real* const rows = scratch(thread);
                   for (int64_t i = 0; i < depth; ++i)
                     table_.dequantise(rows + i * columns, bytes(w) + (row + i) * weight_row(w), format(w),
                                       column, columns);
                   products_->pack_b({dst, rows, columns, depth, 1, columns});
                 });
  if (w.input_order.defined()) from_order(dx, to, w);
}

// A = doutᵀ, B = x; the sums run over the rows of x.
template <class Real>
void CpuBackend<Real>::linear_dw(const Tensor& dw, const Tensor& dout, const Tensor& x) {
  const int64_t t = x.dim(0), n = dout.dim(1), k = x.dim(1);
  QW_CHECK(dout.dim(0) == t && dw.dim(0) == n && dw.dim(1) == k && x.rows_dense() && dout.rows_dense(),
           "linear_dw of {} and {} to {}", dout.shape().str(), x.shape().str(), dw.shape().str());
  if (t == 0 || n == 0 || k == 0) return;
  packed_product(
      *products_, {ptr(dw), ptr(dout), nullptr, n, k, t, dw.stride(0), 1, dout.stride(0), true},
      [&](Real* dst, int64_t column, int64_t columns, int64_t row, int64_t depth, int) {
        products_->pack_b({dst, ptr(x) + row * x.stride(0) + column, columns, depth, 1, x.stride(0)});
      });
}

template <class Real>
void CpuBackend<Real>::sum_rows(const Tensor& db, const Tensor& dout) {
  const RowsOf<Real> in(dout);
  split(db.elements(), in.n(), [&](int64_t begin, int64_t end) {
    Real* y = ptr(db) + begin;
    for (int64_t i = 0; i < in.n(); ++i) table_.add(y, y, in[i] + begin, end - begin);
  });
}

}  // namespace qw::cpu
