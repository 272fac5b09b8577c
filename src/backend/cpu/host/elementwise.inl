// Members of CpuBackend: copies and element-wise kernels. Included by cpu_backend.cc.
#pragma once

#include "backend/cpu/cpu_impl.h"
#include "backend/cpu/host/memory.inl"

namespace qw::cpu {

template <class Real>
template <class Fn, class... Ts>
void CpuBackend<Real>::elementwise(int64_t cost, Fn fn, const Ts&... tensors) {
  const Tensor& first = std::get<0>(std::tie(tensors...));
  QW_CHECK(((tensors.elements() == first.elements()) && ...), "element-wise kernel on unequal sizes");
  QW_CHECK(((tensors.dtype() == real()) && ...), "element-wise kernel on a dtype that is not real");
  if (first.elements() == 0) return;
  if ((tensors.contiguous() && ...)) {
    // Cut at whole cache lines.
    constexpr int64_t line = static_cast<int64_t>(kAlign / sizeof(Real));
    const int64_t n = first.elements();
    split((n + line - 1) / line, cost * line, [&](int64_t begin, int64_t end) {
      fn((ptr(tensors) + begin * line)..., std::min(end * line, n) - begin * line);
    });
    return;
  }
  QW_CHECK((tensors.rows_dense() && ...), "element-wise kernel on rows that are not dense");
  QW_CHECK(((tensors.dim(-1) == first.dim(-1)) && ...), "element-wise kernel on rows of unequal length");
  const int64_t row = first.dim(-1);
  split(first.elements() / row, cost * row, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) fn(RowsOf<Real>(tensors)[i]..., row);
  });
}

// Row by row where the last dimension is dense on both sides, else element by element.
template <class Real>
void CpuBackend<Real>::copy_strided(const Tensor& dst, const Tensor& src, int64_t row) {
  const int64_t to = traits(dst.dtype()).bytes, from = traits(src.dtype()).bytes;
  const bool numbers = dst.dtype() != src.dtype();
  QW_CHECK(!numbers || (static_cast<int>(dst.dtype()) < kNumbers && static_cast<int>(src.dtype()) < kNumbers),
           "no conversion between {} and {}", traits(src.dtype()).name, traits(dst.dtype()).name);
  const auto address = [](const Tensor& t, int64_t i, int outer) {
    int64_t offset = 0;
    for (int d = outer - 1; d >= 0; --d) {
      offset += i % t.dim(d) * t.stride(d);
      i /= t.dim(d);
    }
    return static_cast<std::byte*>(t.device_ptr()) + offset * traits(t.dtype()).bytes;
  };
  const bool whole = row == dst.elements();
  const int outer = whole ? 0 : row == 1 ? dst.rank() : dst.rank() - 1;
  // A whole copy is cut in pieces; a strided one by its rows.
  constexpr int64_t kPiece = 4096;
  const int64_t n = whole ? (row + kPiece - 1) / kPiece : dst.elements() / row;
  split(n, whole ? kPiece : row, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t skip = whole ? i * kPiece : 0, length = whole ? std::min(kPiece, row - skip) : row;
      std::byte* d = (whole ? address(dst, 0, 0) : address(dst, i, outer)) + skip * to;
      const std::byte* s = (whole ? address(src, 0, 0) : address(src, i, outer)) + skip * from;
      if (numbers)
        table_.convert(d, static_cast<Number>(dst.dtype()), s, static_cast<Number>(src.dtype()), length);
      else
        std::memmove(d, s, static_cast<size_t>(length * to));
    }
  });
}

template <class Real>
void CpuBackend<Real>::copy(const Tensor& dst, const Tensor& src) {
  QW_CHECK(dst.shape() == src.shape(), "copy of {} to {}", src.shape().str(), dst.shape().str());
  if (dst.elements() == 0) return;
  int64_t row = 1;
  if (dst.contiguous() && src.contiguous())
    row = dst.elements();
  else if (dst.rows_dense() && src.rows_dense())
    row = dst.dim(-1);
  copy_strided(dst, src, row);
}

template <class Real>
void CpuBackend<Real>::fill(const Tensor& dst, double value) {
  const auto v = static_cast<Real>(value);
  elementwise(
      1, [v](Real* p, int64_t n) { std::fill(p, p + n, v); }, dst);
}

template <class Real>
void CpuBackend<Real>::add(const Tensor& out, const Tensor& a, const Tensor& b) {
  elementwise(1, table_.add, out, a, b);
}

template <class Real>
void CpuBackend<Real>::scale(const Tensor& out, const Tensor& a, double s) {
  const auto f = static_cast<Real>(s);
  elementwise(
      1, [&](Real* o, const Real* x, int64_t n) { table_.scale(o, x, f, n); }, out, a);
}

template <class Real>
void CpuBackend<Real>::axpy(const Tensor& y, double a, const Tensor& x) {
  const auto f = static_cast<Real>(a);
  elementwise(
      1, [&](Real* o, const Real* p, int64_t n) { table_.axpy(o, f, p, n); }, y, x);
}

template <class Real>
void CpuBackend<Real>::silu_mul(const Tensor& out, const Tensor& gate, const Tensor& up) {
  elementwise(4, table_.silu_mul, out, gate, up);
}

template <class Real>
void CpuBackend<Real>::silu_mul_backward(const Tensor& dgate, const Tensor& dup, const Tensor& gate,
                                         const Tensor& up, const Tensor& dout) {
  elementwise(6, table_.silu_mul_backward, dgate, dup, gate, up, dout);
}

template <class Real>
void CpuBackend<Real>::sigmoid(const Tensor& out, const Tensor& x) {
  elementwise(4, table_.sigmoid, out, x);
}

template <class Real>
void CpuBackend<Real>::sigmoid_backward(const Tensor& dx, const Tensor& out, const Tensor& dout) {
  elementwise(1, table_.sigmoid_backward, dx, out, dout);
}

template <class Real>
void CpuBackend<Real>::sigmoid_mul(const Tensor& out, const Tensor& gate, const Tensor& x) {
  elementwise(4, table_.sigmoid_mul, out, gate, x);
}

template <class Real>
void CpuBackend<Real>::sigmoid_mul_backward(const Tensor& dgate, const Tensor& dx, const Tensor& gate,
                                            const Tensor& x, const Tensor& dout) {
  elementwise(6, table_.sigmoid_mul_backward, dgate, dx, gate, x, dout);
}

// Partial sums of fixed pieces, added in order: the number of threads plays no part.
template <class Real>
void CpuBackend<Real>::reduce_to(const Tensor& out, const Tensor& x, double (*kernel)(const Real*, int64_t)) {
  QW_CHECK(x.contiguous() && out.elements() == 1, "sum needs a contiguous tensor and one element");
  constexpr int64_t kPieces = 256;
  const int64_t n = x.elements(), piece = std::max<int64_t>(4096, (n + kPieces - 1) / kPieces);
  double partial[kPieces] = {};
  split((n + piece - 1) / piece, piece, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      partial[i] = kernel(ptr(x) + i * piece, std::min(piece, n - i * piece));
  });
  double total = 0;
  for (const double p : partial) total += p;
  *ptr(out) = static_cast<Real>(total);
}

template <class Real>
void CpuBackend<Real>::sum(const Tensor& out, const Tensor& x) {
  reduce_to(out, x, table_.sum);
}

template <class Real>
void CpuBackend<Real>::sum_squares(const Tensor& out, const Tensor& x) {
  reduce_to(out, x, table_.sum_squares);
}

template <class Real>
void CpuBackend<Real>::adamw(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
                             const AdamWArgs& args) {
  const double t = static_cast<double>(args.step);
  const double bias1 = 1 - std::pow(args.beta1, t), bias2 = 1 - std::pow(args.beta2, t);
  const AdamWCall<Real> c{.decay = static_cast<Real>(1 - args.lr * args.weight_decay),
                          .keep1 = static_cast<Real>(1 - args.beta1),
                          .beta2 = static_cast<Real>(args.beta2),
                          .keep2 = static_cast<Real>(1 - args.beta2),
                          .step_size = static_cast<Real>(args.lr / bias1),
                          .eps = static_cast<Real>(args.eps),
                          .sqrt_bias2 = static_cast<Real>(std::sqrt(bias2)),
                          .grad_scale = static_cast<Real>(args.grad_scale)};
  elementwise(
      8, [&](Real* p, const Real* g, Real* a, Real* b, int64_t n) { table_.adamw(c, p, g, a, b, n); }, param,
      grad, m, v);
}

}  // namespace qw::cpu
