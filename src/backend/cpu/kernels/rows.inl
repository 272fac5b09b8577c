// Kernels over one row: norms, rotary positions, cross entropy. Reduction order depends on the length alone.
// Included inside an anonymous namespace.
#pragma once

#include "backend/cpu/kernels/math.inl"

template <class V>
struct Rows {
  using R = typename V::Real;
  using vec = typename V::vec;

  // Σ f(i) over whole vectors (two chains) and the tail.
  template <class F>
  [[gnu::always_inline]] static inline R reduce(int64_t n, F f) {
    vec a = V::set1(R{0}), b = a;
    int64_t i = 0;
    const auto full = [](const R* p) { return V::load(p); };
    for (; i + 2 * V::kLanes <= n; i += 2 * V::kLanes) {
      a = V::add(a, f(i, full));
      b = V::add(b, f(i + V::kLanes, full));
    }
    for (; i < n; i += V::kLanes) {
      const int64_t rest = n - i < V::kLanes ? n - i : V::kLanes;
      a = V::add(a, f(i, [rest](const R* p) { return V::load_n(p, rest); }));
    }
    return V::reduce_add(V::add(a, b));
  }
  static R dot(const R* x, const R* y, int64_t n) {
    return reduce(n, [=](int64_t i, auto load) { return V::mul(load(x + i), load(y + i)); });
  }
  static R inverse_rms(const R* x, R eps, int64_t d) {
    return R{1} / scalar_sqrt(dot(x, x, d) / static_cast<R>(d) + eps);
  }

  static void rms_norm(R* out, const R* x, const R* w, R eps, int64_t d) {
    const vec s = V::set1(inverse_rms(x, eps, d));
    for_vectors<V>(0, d, [=](auto load, auto store) { store(out, V::mul(load(w), V::mul(load(x), s))); });
  }
  // y = s w x: dx = s (w dy - x s² mean(w dy x)), dw = Σ over rows of s x dy; dw may be null.
  static void rms_norm_backward(R* dx, R* dw, const R* x, const R* w, R eps, const R* dout, int64_t d) {
    const R s = inverse_rms(x, eps, d);
    const R along = reduce(
        d, [=](int64_t i, auto load) { return V::mul(V::mul(load(w + i), load(dout + i)), load(x + i)); });
    const vec f = V::set1(s), g = V::set1(-s * s * s * along / static_cast<R>(d));
    for_vectors<V>(0, d, [=](auto load, auto store) {
      const vec dy = load(dout), xs = load(x);
      store(dx, V::fma(g, xs, V::mul(f, V::mul(load(w), dy))));
      if (dw != nullptr) store(dw, V::fma(dy, V::mul(xs, f), load(dw)));
    });
  }

  // The table interleaves cos and sin; both halves of a pair are read before either is written.
  static void rope(R* out, const R* x, const R* table, int hd, int rot, R sign) {
    const int half = rot / 2;
    for (int i = 0; i < half; ++i) {
      const R c = table[2 * i], s = sign * table[2 * i + 1];
      const R a = x[i], b = x[i + half];
      out[i] = a * c - b * s;
      out[i + half] = b * c + a * s;
    }
    for (int i = rot; i < hd; ++i) out[i] = x[i];
  }

  static R max_of(const R* x, int64_t n) {
    vec m = V::set1(x[0]);
    int64_t i = 0;
    for (; i + V::kLanes <= n; i += V::kLanes) m = V::max(m, V::load(x + i));
    R top = V::reduce_max(m);
    for (; i < n; ++i) top = x[i] > top ? x[i] : top;
    return top;
  }
  // Σ e^(x - top); the terms go to `terms` unless it is null.
  static R exp_sum(const R* x, int64_t n, R top, R* terms) {
    const vec t = V::set1(top), zero = V::set1(R{0});
    const int64_t whole = n / V::kLanes * V::kLanes;
    R s = reduce(whole, [=](int64_t i, auto load) {
      const vec e = vexp<V>(V::sub(load(x + i), t));
      if (terms != nullptr) V::store(terms + i, e);
      return e;
    });
    if (whole < n) {
      R e[V::kLanes];
      V::store(e, vexp<V>(V::sub(V::load_n(x + whole, n - whole), t)));
      s += V::reduce_add(V::add(zero, V::load_n(e, n - whole)));
      if (terms != nullptr) V::store_n(terms + whole, V::load(e), n - whole);
    }
    return s;
  }
  static R cross_entropy(const R* logits, int64_t n, int64_t target) {
    const R top = max_of(logits, n);
    return scalar_log(exp_sum(logits, n, top, nullptr)) + (top - logits[target]);
  }
  static void cross_entropy_backward(R* dlogits, const R* logits, int64_t n, int64_t target, R dloss) {
    const R top = max_of(logits, n);
    const vec f = V::set1(dloss / exp_sum(logits, n, top, dlogits));
    for_vectors<V>(0, n, [=](auto load, auto store) { store(dlogits, V::mul(f, load(dlogits))); });
    dlogits[target] -= dloss;
  }
};
