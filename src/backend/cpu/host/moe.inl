// Members of CpuBackend: routing of rows to experts and the sum of what the experts answer. Included by
// cpu_backend.cc.
#pragma once

#include "backend/cpu/cpu_impl.h"
#include "backend/cpu/host/learning.inl"
#include "backend/cpu/host/linear.inl"
#include "backend/cpu/host/memory.inl"

namespace qw::cpu {

// The k largest of p[n], largest first. A value moves up only past smaller ones, so that equal values stay in
// the order of their indices; the indices are distinct whatever p holds, NaN included.
template <class Real>
void largest(int32_t* index, const Real* p, int64_t n, int64_t k) {
  for (int64_t e = 0; e < n; ++e) {
    if (e >= k && !(p[e] > p[index[k - 1]])) continue;
    int64_t i = std::min(e, k - 1);
    for (; i > 0 && p[e] > p[index[i - 1]]; --i) index[i] = index[i - 1];
    index[i] = static_cast<int32_t>(e);
  }
}

template <class Real>
void CpuBackend<Real>::route(const Tensor& weights, const Tensor& experts, const Tensor& logits,
                             bool normalise) {
  const int64_t n = logits.dim(1), k = weights.dim(1);
  QW_CHECK(k >= 1 && k <= n, "route to {} of {} experts", k, n);
  reserve_scratch(n);
  const RowsOf<Real> in(logits), w(weights);
  const RowsOf<int32_t> chosen(experts);
  pool_.parallel_for(in.n(), kInlineCost / (8 * n) + 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t t = begin; t < end; ++t) {
      const Real* p = softmax(table_, scratch(thread), in[t], n, 1.0).p;
      largest(chosen[t], p, n, k);
      Real total = 0;
      for (int64_t j = 0; j < k; ++j) total += w[t][j] = p[chosen[t][j]];
      for (int64_t j = 0; normalise && j < k; ++j) w[t][j] /= total;
    }
  });
}

// With S = Σ p over the chosen: w_j = p_j / S has dp_j = (dw_j − Σ dw w) / S; then the softmax's own.
template <class Real>
void CpuBackend<Real>::route_backward(const Tensor& dlogits, const Tensor& logits, const Tensor& experts,
                                      bool normalise, const Tensor& dweights) {
  const int64_t n = logits.dim(1), k = dweights.dim(1);
  reserve_scratch(n);
  const RowsOf<Real> in(logits), dw(dweights), out(dlogits);
  const RowsOf<int32_t> chosen(experts);
  pool_.parallel_for(in.n(), kInlineCost / (8 * n) + 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t t = begin; t < end; ++t) {
      const Real* p = softmax(table_, scratch(thread), in[t], n, 1.0).p;
      Real total = 0, along = 0;  // Σ p and Σ p dw over the chosen
      for (int64_t j = 0; j < k; ++j) {
        total += p[chosen[t][j]];
        along += p[chosen[t][j]] * dw[t][j];
      }
      const Real shift = normalise ? along / total : Real{0}, scale = normalise ? Real{1} / total : Real{1};
      const Real mean = normalise ? Real{0} : along;  // Σ p dp
      for (int64_t e = 0; e < n; ++e) out[t][e] = -p[e] * mean;
      for (int64_t j = 0; j < k; ++j) {
        const int32_t e = chosen[t][j];
        out[t][e] += p[e] * ((dw[t][j] - shift) * scale);
      }
    }
  });
}

// One loop over the tiles of all experts that have rows: a decoded row keeps every thread busy whatever the
// size of one expert.
template <class Real>
void CpuBackend<Real>::expert_linear(const Tensor& out, const Tensor& given, std::span<const Weight> w,
                                     std::span<const int32_t> offsets) {
  const int64_t rows = given.dim(0), k = given.dim(1), n = out.dim(1);
  QW_CHECK(
      offsets.size() == w.size() + 1 && offsets.back() == rows && out.dim(0) == rows && given.rows_dense(),
      "expert_linear of {} with {} weights to {}", given.shape().str(), w.size(), out.shape().str());
  active_experts_.clear();
  for (size_t e = 0; e < w.size(); ++e) {
    if (offsets[e] == offsets[e + 1]) continue;
    QW_CHECK(w[e].rows() == n && w[e].cols() == k, "expert_linear of {} with {} {}", given.shape().str(),
             w[e].name, w[e].shape.str());
    active_experts_.push_back(static_cast<int>(e));
  }
  if (active_experts_.empty() || n == 0) return;
  const auto rows_of = [&](int e) {
    const auto i = static_cast<size_t>(e);
    return std::pair<int64_t, int64_t>(offsets[i], offsets[i + 1] - offsets[i]);
  };
  Tensor x = given;
  if (std::any_of(w.begin(), w.end(), [](const Weight& e) { return e.input_order.defined(); })) {
    x = ordered_room(rows, k);
    for (const int e : active_experts_) {
      const auto [first, m] = rows_of(e);
      to_order(x.slice(0, first, m), given.slice(0, first, m), w[static_cast<size_t>(e)]);
    }
  }
  if (packs_forward_ && k > 0) {
    for (const int e : active_experts_) {
      const auto [first, m] = rows_of(e);
      linear_packed(out.slice(0, first, m), x.slice(0, first, m), w[static_cast<size_t>(e)], {});
    }
    return;
  }
  reserve_scratch(kPanelRows * (k + 16));
  const int64_t tiles = (n + kMaxTileN - 1) / kMaxTileN;  // of one expert
  const auto active = static_cast<int64_t>(active_experts_.size());
  const int64_t m = (rows + active - 1) / active;  // of an expert, on average
  pool_.parallel_for(active * tiles, linear_grain(active * tiles, m, k),
                     [&](int64_t begin, int64_t end, int thread) {
                       while (begin < end) {
                         const int e = active_experts_[static_cast<size_t>(begin / tiles)];
                         const int64_t tile = begin % tiles, last = std::min(tiles, tile + end - begin);
                         const auto [first, count] = rows_of(e);
                         table_.linear(linear_call(out.slice(0, first, count), x.slice(0, first, count),
                                                   w[static_cast<size_t>(e)], {}),
                                       tile * kMaxTileN, std::min(last * kMaxTileN, n), scratch(thread));
                         begin += last - tile;
                       }
                     });
}

template <class Real>
void CpuBackend<Real>::combine_rows(const Tensor& out, const Tensor& y, const Tensor& places,
                                    const Tensor& weights) {
  const int64_t d = y.dim(1), k = places.dim(1);
  const RowsOf<Real> from(y), w(weights), to(out);
  const RowsOf<int32_t> place(places);
  split(to.n(), k * d, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      table_.scale(to[t], from[place[t][0]], w[t][0], d);
      for (int64_t j = 1; j < k; ++j) table_.axpy(to[t], w[t][j], from[place[t][j]], d);
    }
  });
}

template <class Real>
double dot(const Real* a, const Real* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

template <class Real>
void CpuBackend<Real>::combine_rows_backward(const Tensor& dy, const Tensor& dweights, const Tensor& y,
                                             const Tensor& places, const Tensor& weights,
                                             const Tensor& dout) {
  const int64_t d = y.dim(1), k = places.dim(1);
  const RowsOf<Real> from(y), w(weights), g(dout), to(dy), dw(dweights);
  const RowsOf<int32_t> place(places);
  split(g.n(), 2 * k * d, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t j = 0; j < k; ++j) {
        const int32_t r = place[t][j];
        table_.scale(to[r], g[t], w[t][j], d);
        dw[t][j] = static_cast<Real>(dot(g[t], from[r], d));
      }
  });
}

template <class Real>
Real logistic(Real x) {
  return Real{1} / (Real{1} + std::exp(-x));
}

template <class Real>
void CpuBackend<Real>::gate_rows(const Tensor& out, const Tensor& x, const Tensor& gate) {
  const int64_t d = x.dim(1);
  const RowsOf<Real> in(x), g(gate), o(out);
  split(in.n(), d, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) table_.scale(o[t], in[t], logistic(*g[t]), d);
  });
}

template <class Real>
void CpuBackend<Real>::gate_rows_backward(const Tensor& dx, const Tensor& dgate, const Tensor& x,
                                          const Tensor& gate, const Tensor& dout) {
  const int64_t d = x.dim(1);
  const RowsOf<Real> in(x), g(gate), from(dout), to(dx), dg(dgate);
  split(in.n(), 2 * d, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const Real s = logistic(*g[t]);
      table_.scale(to[t], from[t], s, d);
      *dg[t] = s * (Real{1} - s) * static_cast<Real>(dot(from[t], in[t], d));
    }
  });
}

}  // namespace qw::cpu
