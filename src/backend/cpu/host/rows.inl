// Members of CpuBackend: norms, embeddings, rows, rotary positions, cross entropy. Included by
// cpu_backend.cc.
#pragma once

#include "backend/cpu/cpu_impl.h"
#include "backend/cpu/host/memory.inl"

namespace qw::cpu {

template <class Real>
void CpuBackend<Real>::rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, double eps) {
  const int64_t d = w.elements();
  QW_CHECK(x.rows_dense() && x.dim(-1) == d && out.elements() == x.elements(), "rms_norm of {} with [{}]",
           x.shape().str(), d);
  const RowsOf<Real> in(x), o(out);
  split(in.n(), 2 * d, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) table_.rms_norm(o[i], in[i], ptr(w), static_cast<Real>(eps), d);
  });
}

// dw is summed over fixed pieces of rows, then over the pieces in order: the number of threads plays no part.
template <class Real>
void CpuBackend<Real>::rms_norm_backward(const Tensor& dx, const Tensor& dw, const Tensor& x, const Tensor& w,
                                         double eps, const Tensor& dout) {
  const int64_t d = w.elements();
  const RowsOf<Real> in(x), g(dout), o(dx);
  constexpr int64_t kPieces = 128;
  const int64_t piece = std::max<int64_t>(16, (in.n() + kPieces - 1) / kPieces);
  const int64_t pieces = (in.n() + piece - 1) / piece;
  const bool learns = dw.defined();
  if (learns) partial_.assign(static_cast<size_t>(pieces * d), Real{0});
  split(pieces, 4 * d * piece, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      for (int64_t i = p * piece; i < std::min((p + 1) * piece, in.n()); ++i)
        table_.rms_norm_backward(o[i], learns ? partial_.data() + p * d : nullptr, in[i], ptr(w),
                                 static_cast<Real>(eps), g[i], d);
  });
  if (!learns) return;
  for (int64_t p = 0; p < pieces; ++p) table_.add(ptr(dw), ptr(dw), partial_.data() + p * d, d);
}

template <class Real>
void CpuBackend<Real>::embedding(const Tensor& out, const Tensor& ids, const Weight& w) {
  const int64_t row = weight_row(w), d = w.cols();
  const Tensor to = w.input_order.defined() ? ordered_room(ids.elements(), d) : out;
  split(ids.elements(), d, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      table_.dequantise(ptr(to) + t * d, bytes(w) + ints(ids)[t] * row, format(w), 0, d);
  });
  if (w.input_order.defined()) from_order(out, to, w);
}

template <class Real>
void CpuBackend<Real>::embedding_backward(const Tensor& dw, const Tensor& ids, const Tensor& dout) {
  scatter_add_rows(dw, ids, dout);
}

template <class Real>
void CpuBackend<Real>::gather_rows(const Tensor& out, const Tensor& x, const Tensor& rows) {
  const int64_t d = x.dim(-1);
  const RowsOf<Real> in(x), o(out);
  split(rows.elements(), d, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::memcpy(o[i], in[ints(rows)[i]], static_cast<size_t>(d) * sizeof(Real));
  });
}

// Two sources may hit one row: threads own columns, and each goes through the rows in order.
template <class Real>
void CpuBackend<Real>::scatter_add_rows(const Tensor& dx, const Tensor& rows, const Tensor& dout) {
  const RowsOf<Real> from(dout), to(dx);
  const int64_t n = rows.elements();
  split(dx.dim(-1), n, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < n; ++i) {
      Real* y = to[ints(rows)[i]] + begin;
      table_.add(y, y, from[i] + begin, end - begin);
    }
  });
}

template <class Real>
void CpuBackend<Real>::rope_table(const Tensor& table, const Tensor& positions, const Tensor& inv_freq,
                                  double scale) {
  const int64_t half = inv_freq.elements();
  const auto s = static_cast<Real>(scale);
  split(positions.elements(), 50 * half, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      Real* row = ptr(table) + t * half * 2;
      for (int64_t i = 0; i < half; ++i) {
        // A position has at most 31 bits and an f32 frequency 24: one rounding, to f32.
        const double exact = ints(positions)[t] * static_cast<double>(ptr(inv_freq)[i]);
        const auto angle = static_cast<double>(static_cast<float>(exact));
        row[2 * i] = static_cast<Real>(std::cos(angle)) * s;
        row[2 * i + 1] = static_cast<Real>(std::sin(angle)) * s;
      }
    }
  });
}

template <class Real>
void CpuBackend<Real>::rope(const Tensor& out, const Tensor& x, const Tensor& table, bool inverse) {
  const int64_t heads = x.dim(1), hd = x.dim(2), half = table.dim(1);
  QW_CHECK(2 * half <= hd && table.dim(0) == x.dim(0) && x.rows_dense(), "rope of {} with table {}",
           x.shape().str(), table.shape().str());
  const Real sign = inverse ? Real{-1} : Real{1};
  split(x.dim(0), heads * hd, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t h = 0; h < heads; ++h)
        table_.rope(ptr(out) + (t * heads + h) * hd, ptr(x) + t * x.stride(0) + h * x.stride(1),
                    ptr(table) + t * half * 2, static_cast<int>(hd), static_cast<int>(2 * half), sign);
  });
}

template <class Real>
void CpuBackend<Real>::cross_entropy(const Tensor& loss, const Tensor& logits, const Tensor& targets) {
  const int64_t v = logits.dim(-1);
  const RowsOf<Real> in(logits);
  split(in.n(), 4 * v, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int32_t target = ints(targets)[t];
      ptr(loss)[t] = target < 0 ? Real{0} : table_.cross_entropy(in[t], v, target);
    }
  });
}

template <class Real>
void CpuBackend<Real>::cross_entropy_backward(const Tensor& dlogits, const Tensor& logits,
                                              const Tensor& targets, const Tensor& dloss) {
  const int64_t v = logits.dim(-1);
  const RowsOf<Real> in(logits), o(dlogits);
  split(in.n(), 6 * v, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int32_t target = ints(targets)[t];
      if (target < 0)
        std::fill(o[t], o[t] + v, Real{0});
      else
        table_.cross_entropy_backward(o[t], in[t], v, target, ptr(dloss)[t]);
    }
  });
}

}  // namespace qw::cpu
