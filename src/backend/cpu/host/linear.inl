// Members of CpuBackend: products with weights and their gradients. Included by cpu_backend.cc.
#pragma once

#include "backend/cpu/cpu_impl.h"
#include "backend/cpu/host/memory.inl"

namespace qw::cpu {

template <class Real>
void CpuBackend<Real>::linear(const Tensor& out, const Tensor& x, const Weight& w, const Tensor& bias) {
  const int64_t m = x.dim(0), k = x.dim(1), n = w.rows();
  QW_CHECK(w.cols() == k && out.dim(0) == m && out.dim(1) == n && x.rows_dense(),
           "linear of {} with {} to {}", x.shape().str(), w.shape.str(), out.shape().str());
  if (m == 0 || n == 0) return;
  const LinearCall<Real> call{
      ptr(out),    ptr(x),        bytes(w), bias.defined() ? ptr(bias) : nullptr, m, k, out.stride(0),
      x.stride(0), weight_row(w), format(w)};
  reserve_scratch(kPanelRows * (k + 16));
  // Ranges are whole tiles of weight rows: few enough to share evenly, large enough to reuse a panel.
  const int64_t tiles = (n + kMaxTileN - 1) / kMaxTileN;
  const int64_t share = (tiles + 4 * pool_.threads() - 1) / (4 * pool_.threads());
  const int64_t least = kInlineCost / std::max<int64_t>(m * k * kMaxTileN, 1) + 1;
  const int64_t grain = std::max(least, m > 3 ? std::min<int64_t>(share, kPanelRows / kMaxTileN) : share);
  pool_.parallel_for(tiles, grain, [&](int64_t begin, int64_t end, int thread) {
    table_.linear(call, begin * kMaxTileN, std::min(end * kMaxTileN, n), scratch(thread));
  });
}

// A thread owns a block of columns of dx and goes through the weight rows in order.
template <class Real>
void CpuBackend<Real>::linear_dx(const Tensor& dx, const Tensor& dout, const Weight& w) {
  const int64_t m = dout.dim(0), n = w.rows(), k = w.cols();
  QW_CHECK(dout.dim(1) == n && dx.dim(0) == m && dx.dim(1) == k && dout.rows_dense(),
           "linear_dx of {} with {} to {}", dout.shape().str(), w.shape.str(), dx.shape().str());
  if (m == 0 || k == 0) return;
  if (n == 0) return fill(dx, 0.0);
  constexpr int64_t kColumns = 128, kRows = 64;  // a decoded block of 32 KB stays in L1
  reserve_scratch(kColumns * kRows);
  const int64_t block = traits(w.format).block, block_bytes = traits(w.format).block_bytes;
  pool_.parallel_for((k + kColumns - 1) / kColumns, 1, [&](int64_t begin, int64_t end, int thread) {
    Real* const panel = scratch(thread);
    for (int64_t j = begin * kColumns; j < std::min(end * kColumns, k); j += kColumns) {
      const int64_t columns = std::min(kColumns, k - j);
      for (int64_t r = 0; r < n; r += kRows) {
        const int64_t rows = std::min(kRows, n - r);
        for (int64_t i = 0; i < rows; ++i)
          table_.dequantise(panel + i * kColumns,
                            bytes(w) + (r + i) * weight_row(w) + j / block * block_bytes, format(w), columns);
        table_.gemm({ptr(dx) + j, ptr(dout) + r, panel, m, columns, rows, dx.stride(0), kColumns,
                     dout.stride(0), 1, r > 0});
      }
    }
  });
}

// A thread owns rows of dw and goes through the rows of x in order, in blocks that stay in cache.
template <class Real>
void CpuBackend<Real>::linear_dw(const Tensor& dw, const Tensor& dout, const Tensor& x) {
  const int64_t t = x.dim(0), n = dout.dim(1), k = x.dim(1);
  QW_CHECK(dout.dim(0) == t && dw.dim(0) == n && dw.dim(1) == k && x.rows_dense() && dout.rows_dense(),
           "linear_dw of {} and {} to {}", dout.shape().str(), x.shape().str(), dw.shape().str());
  if (t == 0 || n == 0 || k == 0) return;
  constexpr int64_t kRows = 24, kDepth = 64, kColumns = 256;
  pool_.parallel_for((n + kRows - 1) / kRows, 1, [&](int64_t begin, int64_t end, int) {
    const int64_t first = begin * kRows, rows = std::min(end * kRows, n) - first;
    for (int64_t i = 0; i < t; i += kDepth)
      for (int64_t j = 0; j < k; j += kColumns)
        table_.gemm({ptr(dw) + first * dw.stride(0) + j, ptr(dout) + i * dout.stride(0) + first,
                     ptr(x) + i * x.stride(0) + j, rows, std::min(kColumns, k - j), std::min(kDepth, t - i),
                     dw.stride(0), x.stride(0), 1, dout.stride(0), true});
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
