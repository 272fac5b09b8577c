// Gradients of dense attention from the saved log-sum-exp: dq by query rows and dk, dv by key blocks, each
// summed in a fixed order, so that threads never add into the same place. Included inside an anonymous
// namespace. With p = e^(s − lse), s = scale · q·k:
//   dv_j = Σ p dout,   ds = p (dout·v_j − dout·out) scale,   dq = Σ ds k_j,   dk_j = Σ ds q
#pragma once

#include "backend/cpu/kernels/attention.inl"
#include "backend/cpu/kernels/rows.inl"

template <class V>
struct AttentionBackward {
  using R = typename V::Real;
  using vec = typename V::vec;
  using A = Attention<V>;

  // One query against 32 keys: scores become p, products dout·v become ds; 0 outside `keys`.
  static void weights_and_slopes(R* scores, R* products, KeyRange keys, R scale, R lse, R delta) {
    const vec f = V::set1(scale), l = V::set1(lse), d = V::set1(delta);
    for (int j = 0; j < kPage; j += V::kLanes) {
      const vec p = vexp<V>(V::sub(V::mul(V::load(scores + j), f), l));
      V::store(scores + j, p);
      V::store(products + j, V::mul(V::mul(p, V::sub(V::load(products + j), d)), f));
    }
    for (int j = 0; j < kPage; ++j) {
      if (j >= keys.begin && j < keys.end) continue;
      scores[j] = 0;
      products[j] = 0;
    }
  }

  static R delta(const AttnBackwardCall<R>& c, int64_t row, int head) {
    return Rows<V>::dot(c.dout + row * c.dout_row + head * c.dout_head,
                        c.fwd.out + (row * c.fwd.heads + head) * c.fwd.hd, c.fwd.hd);
  }

  static void dq(const AttnBackwardCall<R>& call, const AttnUnit& u, R* scratch) {
    const AttnCall<R>& c = call.fwd;
    const int64_t hd = c.hd;
    R* const q = scratch;
    R* const dout = q + kAttnQueries * hd;
    R* const acc = dout + kAttnQueries * hd;
    R* const kt = acc + kAttnQueries * hd;
    R* const vt = kt + kPage * hd;
    R* const scores = vt + kPage * hd;
    R* const products = scores + kAttnQueries * kPage;
    R* const deltas = products + kAttnQueries * kPage;
    const int queries = u.rows * u.heads;
    const auto bytes = static_cast<size_t>(hd) * sizeof(R);
    for (int i = 0; i < queries; ++i) {
      const int64_t row = u.row0 + i / u.heads;
      const int head = u.head0 + i % u.heads;
      __builtin_memcpy(q + i * hd, c.q + row * c.q_row + head * c.q_head, bytes);
      __builtin_memcpy(dout + i * hd, call.dout + row * call.dout_row + head * call.dout_head, bytes);
      deltas[i] = delta(call, row, head);
    }
    __builtin_memset(acc, 0, static_cast<size_t>(queries) * bytes);
    const int kv_head = u.head0 / (c.heads / c.kv_heads);
    const int last = (u.position0 + u.rows - 1) / kPage;
    for (int b = A::first_block(c, u); b <= last; ++b) {
      const KeyRange rows = A::rows_of_block(c, u, b);
      if (rows.begin >= rows.end) continue;
      const int64_t first = u.kv_row0 + int64_t{b} * kPage;
      const R* k = static_cast<const R*>(c.k) + first * c.k_row + kv_head * c.k_head;
      const R* v = static_cast<const R*>(c.v) + first * c.v_row + kv_head * c.v_head;
      const int left = u.position0 + u.rows - b * kPage;
      transpose_block(kt, k, c.k_row, left < kPage ? left : kPage, c.hd);
      transpose_block(vt, v, c.v_row, left < kPage ? left : kPage, c.hd);
      const int64_t i0 = int64_t{rows.begin} * u.heads, n = int64_t{rows.end} * u.heads - i0;
      Gemm<V>::gemm({scores + i0 * kPage, q + i0 * hd, kt, n, kPage, hd, kPage, kPage, hd, 1, false});
      Gemm<V>::gemm({products + i0 * kPage, dout + i0 * hd, vt, n, kPage, hd, kPage, kPage, hd, 1, false});
      for (int64_t i = i0; i < i0 + n; ++i) {
        const int r = static_cast<int>(i) / u.heads;
        const R lse = c.lse[(u.row0 + r) * c.heads + u.head0 + i % u.heads];
        weights_and_slopes(scores + i * kPage, products + i * kPage,
                           visible_keys(u.position0 + r, c.window, b), c.scale, lse, deltas[i]);
      }
      A::accumulate(c, u, b, rows, products, {kt, k, c.k_row}, acc);
    }
    for (int i = 0; i < queries; ++i)
      __builtin_memcpy(call.dq + ((u.row0 + i / u.heads) * c.heads + u.head0 + i % u.heads) * hd,
                       acc + i * hd, bytes);
  }

  // A masked weight is an exact 0 in these sums.
  static void dkv(const AttnBackwardCall<R>& call, const AttnKeyUnit& u, R* scratch) {
    const AttnCall<R>& c = call.fwd;
    const int64_t hd = c.hd;
    R* const kt = scratch;
    R* const vt = kt + kPage * hd;
    R* const scores = vt + kPage * hd;
    R* const products = scores + kAttnQueries * kPage;
    const int group = c.heads / c.kv_heads, begin = u.block * kPage;
    const int keys = u.length - begin < kPage ? u.length - begin : kPage;
    const int seen_until = begin + keys - 1 + c.window;
    const int end = c.window > 0 && seen_until < u.length ? seen_until : u.length;
    const int64_t first = u.kv_row0 + begin;
    transpose_block(kt, static_cast<const R*>(c.k) + first * c.k_row + u.kv_head * c.k_head, c.k_row, keys,
                    c.hd);
    transpose_block(vt, static_cast<const R*>(c.v) + first * c.v_row + u.kv_head * c.v_head, c.v_row, keys,
                    c.hd);
    const int64_t ld = c.kv_heads * hd, at = first * ld + u.kv_head * hd;
    bool add = false;
    for (int g = 0; g < group; ++g) {
      const int head = u.kv_head * group + g;
      for (int r = begin; r < end; r += kAttnQueries) {
        const int n = end - r < kAttnQueries ? end - r : kAttnQueries;
        const int64_t row = u.kv_row0 + r;
        const R* q = c.q + row * c.q_row + head * c.q_head;
        const R* dout = call.dout + row * call.dout_row + head * call.dout_head;
        Gemm<V>::gemm({scores, q, kt, n, kPage, hd, kPage, kPage, c.q_row, 1, false});
        Gemm<V>::gemm({products, dout, vt, n, kPage, hd, kPage, kPage, call.dout_row, 1, false});
        for (int i = 0; i < n; ++i)
          weights_and_slopes(scores + i * kPage, products + i * kPage, visible_keys(r + i, c.window, u.block),
                             c.scale, c.lse[(row + i) * c.heads + head], delta(call, row + i, head));
        Gemm<V>::gemm({call.dv + at, scores, dout, keys, hd, n, ld, call.dout_row, 1, kPage, add});
        Gemm<V>::gemm({call.dk + at, products, q, keys, hd, n, ld, c.q_row, 1, kPage, add});
        add = true;
      }
    }
  }
};
