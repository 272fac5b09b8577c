// Gated DeltaNet (Yang et al. 2024) and the causal convolution before it. Every column of a state is a
// recurrence of its own, so that neither the cut of the work nor that of a step shows in the bits. Included
// inside an anonymous namespace.
#pragma once

#include "backend/cpu/kernels/rows.inl"

template <class V>
struct CausalConv {
  using R = typename V::Real;
  using vec = typename V::vec;

  // Input `i` of the sequence, counted from its first row of this step; the window before it where i < 0.
  static const R* input(const ConvCall<R>& c, int64_t i) {
    if (i >= 0) return c.x + i * c.ldx;
    return c.window != nullptr ? c.window + (i + c.taps - 1) * c.channels : nullptr;
  }
  // Σ_j w[j] · x[t − taps + 1 + j], added in the order of j: zeros before a document add nothing.
  template <class Load>
  [[gnu::always_inline]] static inline vec sum(const ConvCall<R>& c, const R* w, int64_t t, Load load) {
    vec s = V::set1(R{0});
    for (int j = 0; j < c.taps; ++j)
      if (const R* x = input(c, t - c.taps + 1 + j); x != nullptr)
        s = V::fma(load(w + j * c.channels), load(x), s);
    return s;
  }

  // silu of the sum, channels [begin, end) of all rows. c.w is [taps, channels].
  static void forward(const ConvCall<R>& c, int64_t begin, int64_t end) {
    for (int64_t t = 0; t < c.rows; ++t)
      for_vectors<V>(begin, end, [&](auto load, auto store) {
        const vec s = sum(c, c.w, t, load);
        store(c.out + t * c.channels, V::mul(s, vsigmoid<V>(s)));
      });
  }

  // One document from zeros. dx first holds the gradient before silu, then, from the first row on, its own:
  // row t needs rows t … t + taps − 1 alone. dw [taps, channels] is added to, unless it is null.
  static void backward(const ConvCall<R>& c, const ConvGrads<R>& g, int64_t begin, int64_t end) {
    const vec one = V::set1(R{1});
    for (int64_t t = 0; t < c.rows; ++t)
      for_vectors<V>(begin, end, [&](auto load, auto store) {
        const vec s = sum(c, c.w, t, load), sg = vsigmoid<V>(s);
        const vec slope = V::mul(sg, V::fma(s, V::sub(one, sg), one));
        store(g.dx + t * c.channels, V::mul(load(g.dout + t * c.channels), slope));
      });
    for (int j = 0; g.dw != nullptr && j < c.taps; ++j)
      for (int64_t t = c.taps - 1 - j; t < c.rows; ++t)
        for_vectors<V>(begin, end, [&](auto load, auto store) {
          R* dw = g.dw + j * c.channels;
          const vec x = load(c.x + (t - c.taps + 1 + j) * c.ldx);
          store(dw, V::fma(load(g.dx + t * c.channels), x, load(dw)));
        });
    for (int64_t t = 0; t < c.rows; ++t)
      for_vectors<V>(begin, end, [&](auto load, auto store) {
        vec s = V::set1(R{0});
        for (int j = 0; j < c.taps && t + j < c.rows; ++j)
          s = V::fma(load(c.w + (c.taps - 1 - j) * c.channels), load(g.dx + (t + j) * c.channels), s);
        store(g.dx + t * c.channels, s);
      });
  }
};

template <class V>
struct Delta {
  using R = typename V::Real;
  using vec = typename V::vec;
  static constexpr int kWide = 4;  // vectors of columns that are worked on together

  // out = x / |x| · scale, |x|² + 1e-6 under the root. Answers scale / |x|.
  static R normalise(R* out, const R* x, int64_t n, R scale) {
    const R inverse = R{1} / scalar_sqrt(Rows<V>::dot(x, x, n) + R(1e-6));
    const vec f = V::set1(inverse), s = V::set1(scale);
    for_vectors<V>(0, n, [=](auto load, auto store) { store(out, V::mul(V::mul(load(x), f), s)); });
    return inverse * scale;
  }
  static R q_scale(const DeltaCall<R>& c) { return R{1} / scalar_sqrt(static_cast<R>(c.k_dim)); }

  // What row t of a head is made of.
  struct Row {
    const R *q, *k, *v;
    R decay, beta;
  };
  static Row row_of(const DeltaCall<R>& c, int64_t t, int head) {
    const int k_head = head / (c.v_heads / c.k_heads);
    const R* x = c.qkv + t * c.ld;
    const int64_t keys = int64_t{c.k_heads} * c.k_dim;
    return {x + int64_t{k_head} * c.k_dim, x + keys + int64_t{k_head} * c.k_dim,
            x + 2 * keys + int64_t{head} * c.v_dim, scalar_exp(c.g[t * c.v_heads + head]),
            c.beta[t * c.v_heads + head]};
  }

  // One step of kN vectors of columns: S ← decay · S + k δᵀ with δ = beta (v − decay · kᵀS), out = qᵀS.
  template <int kN, class Load, class Store>
  [[gnu::always_inline]] static inline void columns(R* state, int64_t ld, const Row& r, int dk, R* out,
                                                    Load load, Store store) {
    const vec decay = V::set1(r.decay), beta = V::set1(r.beta);
    vec m[kN], o[kN];
    for (int n = 0; n < kN; ++n) m[n] = o[n] = V::set1(R{0});
    for (int i = 0; i < dk; ++i) {
      const vec k = V::set1(r.k[i]);
      for (int n = 0; n < kN; ++n) m[n] = V::fma(k, load(state + i * ld + n * V::kLanes), m[n]);
    }
    for (int n = 0; n < kN; ++n) m[n] = V::mul(beta, V::sub(load(r.v + n * V::kLanes), V::mul(decay, m[n])));
    for (int i = 0; i < dk; ++i) {
      const vec k = V::set1(r.k[i]), q = V::set1(r.q[i]);
      for (int n = 0; n < kN; ++n) {
        R* at = state + i * ld + n * V::kLanes;
        const vec s = V::fma(k, m[n], V::mul(decay, load(at)));
        store(at, s);
        o[n] = V::fma(q, s, o[n]);
      }
    }
    for (int n = 0; n < kN; ++n) store(out + n * V::kLanes, o[n]);
  }

  // Scratch: 2 · k_dim.
  static void step(const DeltaCall<R>& c, const DeltaUnit<R>& u, R* scratch) {
    R *q = scratch, *k = scratch + c.k_dim;
    const R scale = q_scale(c);
    for (int64_t t = u.row0; t < u.row0 + u.rows; ++t) {
      Row r = row_of(c, t, u.head);
      normalise(q, r.q, c.k_dim, scale);
      normalise(k, r.k, c.k_dim, R{1});
      r.q = q;
      r.k = k;
      R* out = c.out + (t * c.v_heads + u.head) * c.v_dim;
      int j = u.column;
      const int end = u.column + u.columns;
      const auto load = [](const R* p) { return V::load(p); };
      const auto store = [](R* p, vec v) { V::store(p, v); };
      for (; j + kWide * V::kLanes <= end; j += kWide * V::kLanes)
        columns<kWide>(u.state + j, c.v_dim, at_column(r, j), c.k_dim, out + j, load, store);
      for (; j < end; j += V::kLanes) {
        const int64_t n = end - j < V::kLanes ? end - j : V::kLanes;
        columns<1>(
            u.state + j, c.v_dim, at_column(r, j), c.k_dim, out + j,
            [n](const R* p) { return V::load_n(p, n); }, [n](R* p, vec v) { V::store_n(p, v, n); });
      }
    }
  }
  static Row at_column(Row r, int j) {
    r.v += j;
    return r;
  }
};
