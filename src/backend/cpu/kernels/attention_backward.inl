// Gradients of dense attention from the saved log-sum-exp: one sequence and one KV head at a time, so that
// threads never add into the same place, in blocks of keys times blocks of query rows, each in order.
// Included inside an anonymous namespace. With p = e^(s − lse), s = scale · q·k:
//   dv_j = Σ p dout,   ds = p (dout·v_j − dout·out) scale,   dq = Σ ds k_j,   dk_j = Σ ds q
#pragma once

#include "backend/cpu/kernels/attention.inl"
#include "backend/cpu/kernels/rows.inl"

template <class V>
struct AttentionBackward {
  using R = typename V::Real;
  using vec = typename V::vec;
  static constexpr int kKeys = kAttnBackwardBlock, kRows = kAttnBackwardBlock;

  // The keys of a block and what every query row meets there.
  struct Block {
    R *kt, *vt;           // [hd, kKeys]
    R *weights, *slopes;  // [kRows, kKeys]: first q·k and dout·v, then p and ds
    int begin, end;       // key positions
  };

  // One query row against n keys: scores become p, products dout·v become ds.
  static void weights_and_slopes(R* scores, R* products, int n, R scale, R lse, R delta) {
    const vec f = V::set1(scale), l = V::set1(lse), d = V::set1(delta);
    for (int j = 0; j < n; j += V::kLanes) {
      const vec p = vexp<V>(V::sub(V::mul(V::load(scores + j), f), l));
      V::store(scores + j, p);
      V::store(products + j, V::mul(V::mul(p, V::sub(V::load(products + j), d)), f));
    }
  }

  // Zeros outside [begin, end) of n.
  static void keep(R* x, int begin, int end, int n) {
    for (int j = 0; j < begin; ++j) x[j] = 0;
    for (int j = end / V::kLanes * V::kLanes; j < n; j += V::kLanes)
      V::store(x + j, j < end ? V::load_n(x + j, end - j) : V::set1(R{0}));
  }

  // Query rows [r, r + n) of the sequence and one head against a block of keys.
  static void rows(const AttnBackwardCall<R>& call, const AttnBackwardUnit& u, const Block& b, int head,
                   int r, int n) {
    const AttnCall<R>& c = call.fwd;
    const int64_t hd = c.hd, row = u.row0 + r;
    const int keys = r + n < b.end ? r + n - b.begin : b.end - b.begin;  // that the last row sees
    const int width = (keys + 2 * V::kLanes - 1) / (2 * V::kLanes) * 2 * V::kLanes;
    const R* q = c.q + row * c.q_row + head * c.q_head;
    const R* dout = call.dout + row * call.dout_row + head * call.dout_head;
    Gemm<V>::gemm({b.weights, q, b.kt, n, width, hd, kKeys, kKeys, c.q_row, 1, false});
    Gemm<V>::gemm({b.slopes, dout, b.vt, n, width, hd, kKeys, kKeys, call.dout_row, 1, false});
    for (int i = 0; i < n; ++i) {
      R *weights = b.weights + i * kKeys, *slopes = b.slopes + i * kKeys;
      const int64_t at = (row + i) * c.heads + head;
      weights_and_slopes(weights, slopes, width, c.scale, c.lse[at], call.delta[at]);
      const int p = r + i;
      const int low = c.window > 0 && p - c.window + 1 > b.begin ? p - c.window + 1 - b.begin : 0;
      const int high = p + 1 < b.end ? p + 1 - b.begin : b.end - b.begin;
      if (low == 0 && high >= keys) continue;
      keep(weights, low < keys ? low : keys, high, width);
      keep(slopes, low < keys ? low : keys, high, width);
    }
    const int64_t kv_row = c.kv_heads * hd, at = (u.row0 + b.begin) * kv_row + u.kv_head * hd;
    Gemm<V>::gemm({call.dv + at, b.weights, dout, keys, hd, n, kv_row, call.dout_row, 1, kKeys, true});
    Gemm<V>::gemm({call.dk + at, b.slopes, q, keys, hd, n, kv_row, c.q_row, 1, kKeys, true});
    const R* k = static_cast<const R*>(c.k) + (u.row0 + b.begin) * c.k_row + u.kv_head * c.k_head;
    const int seen =
        c.window > 0 && r - c.window + 1 > 0 ? r - c.window + 1 : 0;  // the first key of these rows
    Gemm<V>::gemm({call.dq + (row * c.heads + head) * hd, b.slopes, k, n, hd, keys, c.heads * hd, c.k_row,
                   kKeys, 1, b.begin > seen});
  }

  static void backward(const AttnBackwardCall<R>& call, const AttnBackwardUnit& u, R* scratch) {
    const AttnCall<R>& c = call.fwd;
    const int64_t hd = c.hd;
    const int group = c.heads / c.kv_heads;
    for (int64_t row = u.row0; row < u.row0 + u.length; ++row)
      for (int head = u.kv_head * group; head < (u.kv_head + 1) * group; ++head)
        call.delta[row * c.heads + head] =
            Rows<V>::dot(call.dout + row * call.dout_row + head * call.dout_head,
                         c.out + (row * c.heads + head) * hd, c.hd);
    Block b{
        scratch, scratch + kKeys * hd, scratch + 2 * kKeys * hd, scratch + 2 * kKeys * hd + kRows * kKeys, 0,
        0};
    for (b.begin = 0; b.begin < u.length; b.begin += kKeys) {
      b.end = b.begin + kKeys < u.length ? b.begin + kKeys : u.length;
      const int64_t row = u.row0 + b.begin;
      const auto bytes = static_cast<size_t>(kKeys * hd) * sizeof(R);
      if (b.end - b.begin < kKeys) {
        __builtin_memset(b.kt, 0, bytes);
        __builtin_memset(b.vt, 0, bytes);
      }
      transpose_block<V, kKeys>(b.kt, static_cast<const R*>(c.k) + row * c.k_row + u.kv_head * c.k_head,
                                c.k_row, b.end - b.begin, c.hd);
      transpose_block<V, kKeys>(b.vt, static_cast<const R*>(c.v) + row * c.v_row + u.kv_head * c.v_head,
                                c.v_row, b.end - b.begin, c.hd);
      for (int64_t i = row; i < row + b.end - b.begin; ++i) {
        const int64_t at = (i * c.kv_heads + u.kv_head) * hd;
        __builtin_memset(call.dk + at, 0, static_cast<size_t>(hd) * sizeof(R));
        __builtin_memset(call.dv + at, 0, static_cast<size_t>(hd) * sizeof(R));
      }
      const int64_t seen = c.window > 0 ? int64_t{b.end} - 1 + c.window : u.length;
      const int last = seen < u.length ? static_cast<int>(seen) : u.length;
      for (int head = u.kv_head * group; head < (u.kv_head + 1) * group; ++head)
        for (int r = b.begin, n = 0; r < last; r += n) {
          // Half as many rows where the diagonal hides half of the keys.
          n = r < b.end ? kRows / 2 : kRows;
          // A row past `last` sees nothing here, but its dq begins where that of its block does.
          if (r + n > u.length) n = u.length - r;
          rows(call, u, b, head, r, n);
        }
    }
  }
};
