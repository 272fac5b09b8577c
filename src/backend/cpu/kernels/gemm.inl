// C (+)= A · B with rows of B dense: each element of C is one chain of fma over k, in order, so that any cut
// of m, n or k gives the same bits. Gradients of products and both products of attention. Included inside an
// anonymous namespace.
#pragma once

#include "backend/cpu/kernels/math.inl"

template <class V>
struct Gemm {
  using R = typename V::Real;
  using vec = typename V::vec;

  // kM rows × kN vectors of C at (i, j); the last vector has `tail` columns (kLanes: whole).
  template <int kM, int kN, bool kTail>
  static void tile(const GemmCall<R>& g, int64_t i, int64_t j, int64_t tail) {
    R* c = g.c + i * g.ldc + j;
    const R* a = g.a + i * g.a_row;
    const R* b = g.b + j;
    vec acc[kM][kN];
    const auto load = [&](const R* p, auto n) __attribute__((always_inline)) {
      if constexpr (kTail && n.value == kN - 1)
        return V::load_n(p + n.value * V::kLanes, tail);
      else
        return V::load(p + n.value * V::kLanes);
    };
    unroll<kM>([&](auto m) __attribute__((always_inline)) {
      unroll<kN>([&](auto n) __attribute__((always_inline)) {
        acc[m.value][n.value] = g.add ? load(c + m.value * g.ldc, n) : V::set1(R{0});
      });
    });
    for (int64_t k = 0; k < g.k; ++k, a += g.a_col, b += g.ldb) {
      vec w[kN];
      unroll<kN>([&](auto n) __attribute__((always_inline)) { w[n.value] = load(b, n); });
      unroll<kM>([&](auto m) __attribute__((always_inline)) {
        const vec x = V::set1(a[m.value * g.a_row]);
        unroll<kN>([&](auto n) __attribute__((always_inline)) {
          acc[m.value][n.value] = V::fma(x, w[n.value], acc[m.value][n.value]);
        });
      });
    }
    unroll<kM>([&](auto m) __attribute__((always_inline)) {
      unroll<kN>([&](auto n) __attribute__((always_inline)) {
        R* p = c + m.value * g.ldc + n.value * V::kLanes;
        if constexpr (kTail && n.value == kN - 1)
          V::store_n(p, acc[m.value][n.value], tail);
        else
          V::store(p, acc[m.value][n.value]);
      });
    });
  }

  template <int kN, bool kTail>
  static void columns(const GemmCall<R>& g, int64_t j, int64_t tail) {
    int64_t i = 0;
    for (; i + V::kGemmM <= g.m; i += V::kGemmM) tile<V::kGemmM, kN, kTail>(g, i, j, tail);
    unroll<V::kGemmM - 1>([&](auto m) __attribute__((always_inline)) {
      if (g.m - i == m.value + 1) tile<m.value + 1, kN, kTail>(g, i, j, tail);
    });
  }

  static void gemm(const GemmCall<R>& g) {
    int64_t j = 0;
    for (; j + V::kGemmVecs * V::kLanes <= g.n; j += V::kGemmVecs * V::kLanes)
      columns<V::kGemmVecs, false>(g, j, V::kLanes);
    for (; j + 2 * V::kLanes <= g.n; j += 2 * V::kLanes) columns<2, false>(g, j, V::kLanes);
    for (; j + V::kLanes <= g.n; j += V::kLanes) columns<1, false>(g, j, V::kLanes);
    if (j < g.n) columns<1, true>(g, j, g.n - j);
  }
};
