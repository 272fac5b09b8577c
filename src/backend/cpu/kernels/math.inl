// exp over the vocabulary, and the unroller of register tiles. Included inside an anonymous namespace.
#pragma once

#include "backend/cpu/simd/scalar.h"

template <int I>
struct Int {
  static constexpr int value = I;
};

// f(Int<0>{}), f(Int<1>{}) … f(Int<N − 1>{}): indices are constants, so that tiles stay in registers.
template <int N, int I = 0, class F>
[[gnu::always_inline]] inline void unroll(F&& f) {
  if constexpr (I < N) {
    f(Int<I>{});
    unroll<N, I + 1>(f);
  }
}

// e^x within 2 ulp in f32: n = round(x / ln 2), e^x = 2^n e^r, |r| <= ln 2 / 2 (+ rounding), e^r = 1 + r + r²
// P(r) with P fitted to a relative error of 4e-9. Exactly 0 below -87.3 (also at -inf); inf above 88.8; NaN
// stays.
template <class V>
[[gnu::always_inline]] inline typename V::vec vexp(typename V::vec x) {
  using R = typename V::Real;
  using vec = typename V::vec;
  if constexpr (!V::kFusedExp) {
    for (int i = 0; i < V::kLanes; ++i) x[i] = scalar_exp(x[i]);
    return x;
  } else {
    const auto c = [](double v) { return V::set1(static_cast<R>(v)); };
    vec y = V::select_lt(c(89.0), x, c(89.0), x);
    y = V::select_lt(y, c(-87.3), c(-87.3), y);  // no subnormal result: processors take 100 cycles for one
    const vec n = V::round(V::mul(y, c(1.44269504088896341)));
    vec r = V::fma(n, c(-0.693359375), y);
    r = V::fma(n, c(2.12194440054690583e-4), r);
    vec p = c(0.0013814610429108143);
    p = V::fma(p, r, c(0.008368710987269878));
    p = V::fma(p, r, c(0.04166838899254799));
    p = V::fma(p, r, c(0.1666652113199234));
    p = V::fma(p, r, c(0.4999999403953552));
    p = V::fma(V::mul(p, r), r, r);
    const vec e = V::scale2(V::add(p, c(1.0)), n);
    return V::select_lt(x, c(-87.3), V::set1(R{0}), e);
  }
}

// 1 / (1 + e^-x)
template <class V>
[[gnu::always_inline]] inline typename V::vec vsigmoid(typename V::vec x) {
  using R = typename V::Real;
  const auto one = V::set1(R{1});
  return V::div(one, V::add(one, vexp<V>(V::sub(V::set1(R{0}), x))));
}

// Calls f(i, load, store) for whole vectors and once for the tail: load(p) and store(p, v) at element i of p.
template <class V, class F>
[[gnu::always_inline]] inline void for_vectors(int64_t begin, int64_t end, F f) {
  using R = typename V::Real;
  int64_t i = begin;
  for (; i + V::kLanes <= end; i += V::kLanes)
    f([i](const R* p) { return V::load(p + i); }, [i](R* p, typename V::vec v) { V::store(p + i, v); });
  if (i < end) {
    const int64_t n = end - i;
    f([i, n](const R* p) { return V::load_n(p + i, n); },
      [i, n](R* p, typename V::vec v) { V::store_n(p + i, v, n); });
  }
}
