// Gated DeltaNet in chunks, forward (Yang et al. 2024, §3.3) and backward. With c the sum of g from the first
// row of a chunk on, a chunk that begins with the state S:
//   δ_i = beta_i (v_i − e^{c_i} Sᵀk_i) − Σ_{j<i} beta_i (k_i·k_j) e^{c_i − c_j} δ_j
//   out_i = e^{c_i} Sᵀq_i + Σ_{j≤i} (q_i·k_j) e^{c_i − c_j} δ_j
//   S ← e^{c_n} S + Σ_j e^{c_n − c_j} k_j δ_jᵀ
// Included inside an anonymous namespace.
#pragma once

#include "backend/cpu/kernels/delta.inl"
#include "backend/cpu/kernels/elementwise.inl"
#include "backend/cpu/kernels/gemm.inl"

template <class V>
struct DeltaChunk {
  using R = typename V::Real;
  using vec = typename V::vec;
  using D = Delta<V>;

  static void gemm(R* c, const R* a, int64_t a_row, int64_t a_col, const R* b, int64_t ldb, int64_t m,
                   int64_t n, int64_t k, bool add, int64_t ldc) {
    Gemm<V>::gemm({c, a, b, m, n, k, ldc, ldb, a_row, a_col, add});
  }
  static void copy(R* to, const R* from, int64_t n) {
    __builtin_memcpy(to, from, static_cast<size_t>(n) * sizeof(R));
  }
  static void clear(R* p, int64_t n) { __builtin_memset(p, 0, static_cast<size_t>(n) * sizeof(R)); }

  // Hands out scratch.
  struct Carver {
    R* next;
    R* take(int64_t n) {
      R* at = next;
      next += n;
      return at;
    }
  };

  // What a chunk of n rows is computed from.
  struct Chunk {
    R *q, *k, *kt;       // [n, dk] normalised, and k transposed [dk, kDeltaChunk]
    R *kk, *qk;          // [n, kDeltaChunk]: beta_i k_i·k_j e^{c_i − c_j}, and the same of q
    R *c, *grow, *rest;  // [n]: sums of g, e^{c_i}, e^{c_n − c_i}
    R* delta;            // [n, dv]
    R* wide;             // [n, dk]
  };
  static Chunk carve(const DeltaCall<R>& c, R* scratch) {
    const int64_t keys = int64_t{kDeltaChunk} * c.k_dim, square = int64_t{kDeltaChunk} * kDeltaChunk;
    Chunk w{};
    Carver p{scratch};
    w.q = p.take(keys);
    w.k = p.take(keys);
    w.kt = p.take(keys);
    w.wide = p.take(keys);
    w.kk = p.take(square);
    w.qk = p.take(square);
    w.c = p.take(kDeltaChunk);
    w.grow = p.take(kDeltaChunk);
    w.rest = p.take(kDeltaChunk);
    w.delta = p.take(int64_t{kDeltaChunk} * c.v_dim);
    return w;
  }

  static void prepare(const DeltaCall<R>& c, const Chunk& w, int64_t row0, int n, int head) {
    const int dk = c.k_dim;
    R sum = 0;
    for (int i = 0; i < n; ++i) {
      const auto r = D::row_of(c, row0 + i, head);
      D::normalise(w.q + i * dk, r.q, dk, D::q_scale(c));
      D::normalise(w.k + i * dk, r.k, dk, R{1});
      for (int d = 0; d < dk; ++d) w.kt[d * kDeltaChunk + i] = w.k[i * dk + d];
      sum += c.g[(row0 + i) * c.v_heads + head];
      w.c[i] = sum;
      w.grow[i] = scalar_exp(sum);
    }
    for (int i = 0; i < n; ++i) w.rest[i] = scalar_exp(sum - w.c[i]);
    gemm(w.kk, w.k, dk, 1, w.kt, kDeltaChunk, n, n, dk, false, kDeltaChunk);
    gemm(w.qk, w.q, dk, 1, w.kt, kDeltaChunk, n, n, dk, false, kDeltaChunk);
    for (int i = 0; i < n; ++i) {
      const R beta = c.beta[(row0 + i) * c.v_heads + head];
      for (int j = 0; j <= i; ++j) {
        const R decay = scalar_exp(w.c[i] - w.c[j]);
        w.kk[i * kDeltaChunk + j] *= beta * decay;
        w.qk[i * kDeltaChunk + j] *= decay;
      }
      for (int j = i + 1; j < n; ++j) w.qk[i * kDeltaChunk + j] = 0;
    }
  }
  // to[i] = from[i] · factor[i], rows of d.
  static void scale_rows(R* to, const R* from, const R* factor, int n, int d) {
    for (int i = 0; i < n; ++i) Elementwise<V>::scale(to + i * d, from + i * d, factor[i], d);
  }

  static void forward(const DeltaCall<R>& c, const DeltaUnit<R>& u, R* scratch) {
    const Chunk w = carve(c, scratch);
    for (int64_t done = 0; done < u.rows; done += kDeltaChunk) {
      const auto n = static_cast<int>(u.rows - done < kDeltaChunk ? u.rows - done : kDeltaChunk);
      prepare(c, w, u.row0 + done, n, u.head);
      chunk(c, u, w, u.row0 + done, n);
    }
  }
  static void chunk(const DeltaCall<R>& c, const DeltaUnit<R>& u, const Chunk& w, int64_t row0, int n) {
    const int dk = c.k_dim, dv = c.v_dim, cols = u.columns;
    R* s = u.state + u.column;
    scale_rows(w.wide, w.k, w.grow, n, dk);
    gemm(w.delta, w.wide, dk, 1, s, dv, n, cols, dk, false, dv);
    for (int i = 0; i < n; ++i) {
      const auto r = D::row_of(c, row0 + i, u.head);
      R* d = w.delta + int64_t{i} * dv;
      const vec beta = V::set1(r.beta);
      const R* v = r.v + u.column;
      for_vectors<V>(0, cols,
                     [=](auto load, auto store) { store(d, V::mul(beta, V::sub(load(v), load(d)))); });
      for (int j = 0; j < i; ++j)
        Elementwise<V>::axpy(d, -w.kk[i * kDeltaChunk + j], w.delta + int64_t{j} * dv, cols);
    }
    R* out = c.out + (row0 * c.v_heads + u.head) * dv + u.column;
    const int64_t ld_out = int64_t{c.v_heads} * dv;
    scale_rows(w.wide, w.q, w.grow, n, dk);
    gemm(out, w.wide, dk, 1, s, dv, n, cols, dk, false, ld_out);
    gemm(out, w.qk, kDeltaChunk, 1, w.delta, dv, n, cols, n, true, ld_out);
    for (int i = 0; i < dk; ++i)
      Elementwise<V>::scale(s + int64_t{i} * dv, s + int64_t{i} * dv, w.grow[n - 1], cols);
    scale_rows(w.wide, w.k, w.rest, n, dk);
    gemm(s, w.wide, 1, dk, w.delta, dv, dk, cols, n, true, dv);
  }

  // --- backward: the states at the borders of chunks are made again from the document's beginning, those
  // inside a chunk from its border; both forms have this gradient.
  struct Past {
    R *states, *d_state;  // [kDeltaChunk + 1, dk, dv], [dk, dv]
    R *q, *k, *u;         // [kDeltaChunk, dk] twice, [kDeltaChunk, dv]: v − decay Sᵀk
    R *q_factor, *k_factor;
    R *delta, *d_delta, *dq, *dk;  // of one row
    R* borders;                    // [chunks, dk, dv]
  };
  static Past carve_past(const DeltaCall<R>& c, R* scratch) {
    const int64_t dk = c.k_dim, dv = c.v_dim, n = kDeltaChunk;
    Past w{};
    Carver p{scratch};
    w.states = p.take((n + 1) * dk * dv);
    w.d_state = p.take(dk * dv);
    w.q = p.take(n * dk);
    w.k = p.take(n * dk);
    w.u = p.take(n * dv);
    w.q_factor = p.take(n);
    w.k_factor = p.take(n);
    w.delta = p.take(dv);
    w.d_delta = p.take(dv);
    w.dq = p.take(dk);
    w.dk = p.take(dk);
    w.borders = p.next;
    return w;
  }
  // S ← decay · S + k δᵀ; u = v − decay Sᵀk.
  static void advance(R* s, R* u, const typename D::Row& r, int dk, int dv) {
    clear(u, dv);
    for (int i = 0; i < dk; ++i) Elementwise<V>::axpy(u, -r.decay * r.k[i], s + int64_t{i} * dv, dv);
    Elementwise<V>::add(u, u, r.v, dv);
    const vec decay = V::set1(r.decay);
    for (int i = 0; i < dk; ++i) {
      const vec f = V::set1(r.beta * r.k[i]);
      R* row = s + int64_t{i} * dv;
      for_vectors<V>(
          0, dv, [=](auto load, auto store) { store(row, V::fma(f, load(u), V::mul(decay, load(row)))); });
    }
  }
  static void backward(const DeltaCall<R>& c, const DeltaGrads<R>& g, const DeltaBackwardUnit& unit,
                       R* scratch) {
    const int group = c.v_heads / c.k_heads;
    for (int j = 0; j < group; ++j) {
      const Past w = carve_past(c, scratch);
      borders(c, unit, unit.k_head * group + j, w);
      clear(w.d_state, int64_t{c.k_dim} * c.v_dim);
      for (int64_t at = (unit.rows - 1) / kDeltaChunk * kDeltaChunk; at >= 0; at -= kDeltaChunk) {
        const auto n = static_cast<int>(unit.rows - at < kDeltaChunk ? unit.rows - at : kDeltaChunk);
        inside(c, unit, unit.k_head * group + j, w, at, n);
        for (int i = n - 1; i >= 0; --i)
          row_backward(c, g, unit.row0 + at + i, unit.k_head * group + j, i, j > 0, w);
      }
    }
  }
  static void borders(const DeltaCall<R>& c, const DeltaBackwardUnit& unit, int head, const Past& w) {
    const int dk = c.k_dim, dv = c.v_dim;
    const int64_t size = int64_t{dk} * dv;
    R* s = w.states;
    clear(s, size);
    for (int64_t t = 0; t < unit.rows; ++t) {
      if (t % kDeltaChunk == 0) copy(w.borders + t / kDeltaChunk * size, s, size);
      auto r = D::row_of(c, unit.row0 + t, head);
      D::normalise(w.k, r.k, dk, R{1});
      r.k = w.k;
      advance(s, w.u, r, dk, dv);
    }
  }
  static void inside(const DeltaCall<R>& c, const DeltaBackwardUnit& unit, int head, const Past& w,
                     int64_t at, int n) {
    const int dk = c.k_dim, dv = c.v_dim;
    const int64_t size = int64_t{dk} * dv;
    copy(w.states, w.borders + at / kDeltaChunk * size, size);
    for (int i = 0; i < n; ++i) {
      auto r = D::row_of(c, unit.row0 + at + i, head);
      w.q_factor[i] = D::normalise(w.q + i * dk, r.q, dk, D::q_scale(c));
      w.k_factor[i] = D::normalise(w.k + i * dk, r.k, dk, R{1});
      r.k = w.k + i * dk;
      copy(w.states + (i + 1) * size, w.states + i * size, size);
      advance(w.states + (i + 1) * size, w.u + int64_t{i} * dv, r, dk, dv);
    }
  }
  // d_state: the gradient of the state after row i on entry, of the state before it on return.
  static void row_backward(const DeltaCall<R>& c, const DeltaGrads<R>& g, int64_t t, int head, int i,
                           bool add, const Past& w) {
    const int dk = c.k_dim, dv = c.v_dim;
    const int64_t size = int64_t{dk} * dv;
    const R *before = w.states + i * size, *after = before + size;
    const R *q = w.q + i * dk, *k = w.k + i * dk, *u = w.u + int64_t{i} * dv;
    const auto r = D::row_of(c, t, head);
    const R* dout = g.dout + (t * c.v_heads + head) * dv;
    Elementwise<V>::scale(w.delta, u, r.beta, dv);
    clear(w.d_delta, dv);
    for (int d = 0; d < dk; ++d) {
      R* ds = w.d_state + int64_t{d} * dv;
      Elementwise<V>::axpy(ds, q[d], dout, dv);
      w.dq[d] = Rows<V>::dot(after + int64_t{d} * dv, dout, dv);
      w.dk[d] = Rows<V>::dot(ds, w.delta, dv);
      Elementwise<V>::axpy(w.d_delta, k[d], ds, dv);
    }
    g.dbeta[t * c.v_heads + head] = Rows<V>::dot(w.d_delta, u, dv);
    const int64_t keys = int64_t{c.k_heads} * dk, width = 2 * keys + int64_t{c.v_heads} * dv;
    R* dv_row = g.dqkv + t * width + 2 * keys + int64_t{head} * dv;
    Elementwise<V>::scale(dv_row, w.d_delta, r.beta, dv);  // and d(Sᵀk) of the decayed state is its negative
    R along = 0;
    for (int d = 0; d < dk; ++d) {
      R* ds = w.d_state + int64_t{d} * dv;
      const R* s = before + int64_t{d} * dv;
      w.dk[d] -= r.decay * Rows<V>::dot(s, dv_row, dv);
      Elementwise<V>::axpy(ds, -k[d], dv_row, dv);
      along += Rows<V>::dot(s, ds, dv);
      Elementwise<V>::scale(ds, ds, r.decay, dv);
    }
    g.dg[t * c.v_heads + head] = r.decay * along;
    const int64_t k_head = head / (c.v_heads / c.k_heads);
    normalise_backward(g.dqkv + t * width + k_head * dk, w.dq, q, w.q_factor[i], D::q_scale(c), dk, add);
    normalise_backward(g.dqkv + t * width + keys + k_head * dk, w.dk, k, w.k_factor[i], R{1}, dk, add);
  }
  // y = x · factor with |y| = scale (but for the 1e-6): dx = factor (dy − y (y·dy) / scale²).
  static void normalise_backward(R* dx, const R* dy, const R* y, R factor, R scale, int n, bool add) {
    const R along = Rows<V>::dot(y, dy, n) / (scale * scale);
    const vec f = V::set1(factor), a = V::set1(-along);
    for_vectors<V>(0, n, [=](auto load, auto store) {
      const vec d = V::mul(f, V::fma(a, load(y), load(dy)));
      store(dx, add ? V::add(load(dx), d) : d);
    });
  }
};
