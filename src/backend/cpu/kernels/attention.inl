// Attention forward, dense and paged in one algorithm: keys in blocks of 32 aligned to their position, online
// softmax block by block, both products by Gemm. What a query computes depends on its own keys alone: masked
// scores are overwritten, and masked values are not read. Included inside an anonymous namespace.
#pragma once

#include "backend/cpu/kernels/gemm.inl"

struct KeyRange {
  int begin, end;  // within a block
};

// The keys of block b that position p sees.
inline KeyRange visible_keys(int p, int window, int b) {
  const int low = window > 0 && p - window + 1 > 0 ? p - window + 1 : 0;
  const int begin = low - b * kPage, end = p + 1 - b * kPage;
  return {begin < 0 ? 0 : begin, end > kPage ? kPage : end};
}

// kt[d, j] = rows[j, d] for j < n, with rows of kt kWidth long; columns n … keep what they hold.
template <class V, int kWidth>
inline void transpose_block(typename V::Real* kt, const typename V::Real* rows, int64_t stride, int n,
                            int hd) {
  int j = 0;
  for (; j + V::kLanes <= n; j += V::kLanes) {
    int d = 0;
    for (; d + V::kLanes <= hd; d += V::kLanes) {
      typename V::vec block[V::kLanes];
      V::template transpose<V::kLanes>(rows + j * stride + d, stride, block);
      unroll<V::kLanes>([&](auto i) __attribute__((always_inline)) {
        V::store(kt + (d + i.value) * kWidth + j, block[i.value]);
      });
    }
    for (; d < hd; ++d)
      for (int i = j; i < j + V::kLanes; ++i) kt[d * kWidth + i] = rows[i * stride + d];
  }
  for (; j < n; ++j)
    for (int d = 0; d < hd; ++d) kt[d * kWidth + j] = rows[j * stride + d];
}

template <class V>
struct Attention {
  using R = typename V::Real;
  using vec = typename V::vec;
  static constexpr int kVecs = kPage / V::kLanes;

  // Keys and values of one block as f32 (f64): kt [hd, 32] and rows of v.
  struct Block {
    const R* kt;
    const R* v;
    int64_t v_row;
  };

  struct Scratch {
    R *q, *acc, *kt, *v, *scores, *top, *sum;
    Scratch(R* p, int64_t hd)
        : q(p),
          acc(q + kAttnQueries * hd),
          kt(acc + kAttnQueries * hd),
          v(kt + kPage * hd),
          scores(v + kPage * hd),
          top(scores + kAttnQueries * kPage),
          sum(top + kAttnQueries) {}
  };

  static void widen(R* to, const uint8_t* from, int64_t n) {
    for (int64_t i = 0; i < n; i += V::kLanes) V::store(to + i, V::load_f16(from + 2 * i));
  }

  static Block load_block(const AttnCall<R>& c, const AttnUnit& u, int b, const Scratch& s) {
    const int kv_head = u.head0 / (c.heads / c.kv_heads);
    if (c.kind == kKvDense) {
      const int64_t row = u.kv_row0 + int64_t{b} * kPage;
      const int length = u.position0 + u.rows - b * kPage;
      const R* k = static_cast<const R*>(c.k) + row * c.k_row + kv_head * c.k_head;
      transpose_block<V, kPage>(s.kt, k, c.k_row, length < kPage ? length : kPage, c.hd);
      return {s.kt, static_cast<const R*>(c.v) + row * c.v_row + kv_head * c.v_head, c.v_row};
    }
    const int64_t page = (int64_t{u.blocks[b]} * c.kv_heads + kv_head) * kPage * c.hd;
    if (c.kind == kKvPagedReal)
      return {static_cast<const R*>(c.k) + page, static_cast<const R*>(c.v) + page, c.hd};
    widen(s.kt, static_cast<const uint8_t*>(c.k) + 2 * page, int64_t{kPage} * c.hd);
    widen(s.v, static_cast<const uint8_t*>(c.v) + 2 * page, int64_t{kPage} * c.hd);
    return {s.kt, s.v, c.hd};
  }

  // Scores of query i become weights; its sum and accumulator are brought to the new maximum.
  static void softmax_step(const AttnCall<R>& c, const Scratch& s, int64_t i, KeyRange keys) {
    R* w = s.scores + i * kPage;
    const R lowest = -static_cast<R>(__builtin_inff());
    const vec scale = V::set1(c.scale);
    for (int j = 0; j < kPage; j += V::kLanes) V::store(w + j, V::mul(V::load(w + j), scale));
    for (int j = 0; j < keys.begin; ++j) w[j] = lowest;
    for (int j = keys.end; j < kPage; ++j) w[j] = lowest;
    vec m = V::load(w);
    for (int j = V::kLanes; j < kPage; j += V::kLanes) m = V::max(m, V::load(w + j));
    const R block_top = V::reduce_max(m);
    const R top = s.top[i] < block_top ? block_top : s.top[i];
    const vec t = V::set1(top);
    vec total = V::set1(R{0});
    for (int j = 0; j < kPage; j += V::kLanes) {
      const vec e = vexp<V>(V::sub(V::load(w + j), t));
      V::store(w + j, e);
      total = V::add(total, e);
    }
    const R added = V::reduce_add(total);
    if (top == s.top[i]) {  // a factor of 1
      s.sum[i] += added;
      return;
    }
    R lanes[V::kLanes];
    V::store(lanes, vexp<V>(V::set1(s.top[i] - top)));
    const R old = lanes[0];
    s.top[i] = top;
    s.sum[i] = s.sum[i] * old + added;
    R* acc = s.acc + i * c.hd;
    const vec f = V::set1(old);
    for_vectors<V>(0, c.hd, [=](auto load, auto store) { store(acc, V::mul(load(acc), f)); });
  }

  // acc[rows] += coefficients · values: runs of rows that see the whole block in one product, the others
  // each with its own keys. `coef` [queries, 32], `values` rows of a block.
  static void accumulate(const AttnCall<R>& c, const AttnUnit& u, int b, KeyRange rows, const R* coef,
                         const Block& block, R* acc) {
    int r = rows.begin;
    while (r < rows.end) {
      const KeyRange keys = visible_keys(u.position0 + r, c.window, b);
      int run = 1;
      if (keys.begin == 0 && keys.end == kPage) {
        for (; r + run < rows.end; ++run) {
          const KeyRange next = visible_keys(u.position0 + r + run, c.window, b);
          if (next.begin != 0 || next.end != kPage) break;
        }
      }
      const int64_t i = int64_t{r} * u.heads;
      Gemm<V>::gemm({acc + i * c.hd, coef + i * kPage + keys.begin, block.v + keys.begin * block.v_row,
                     int64_t{run} * u.heads, c.hd, keys.end - keys.begin, c.hd, block.v_row, kPage, 1, true});
      r += run;
    }
  }

  // Rows of the unit that see anything of block b.
  static KeyRange rows_of_block(const AttnCall<R>& c, const AttnUnit& u, int b) {
    const int first = b * kPage - u.position0;
    const int last = b * kPage + kPage - 1 + c.window - u.position0;  // with a window: first row past it
    return {first < 0 ? 0 : first, c.window > 0 && last < u.rows ? last : u.rows};
  }
  static int first_block(const AttnCall<R>& c, const AttnUnit& u) {
    const int low = u.position0 - c.window + 1;
    return c.window > 0 && low > 0 ? low / kPage : 0;
  }

  static void attention(const AttnCall<R>& c, const AttnUnit& u, R* scratch) {
    const Scratch s(scratch, c.hd);
    const int queries = u.rows * u.heads;
    for (int i = 0; i < queries; ++i) {
      const R* q = c.q + (u.row0 + i / u.heads) * c.q_row + (u.head0 + i % u.heads) * c.q_head;
      __builtin_memcpy(s.q + int64_t{i} * c.hd, q, static_cast<size_t>(c.hd) * sizeof(R));
      s.top[i] = -static_cast<R>(__builtin_inff());
      s.sum[i] = 0;
    }
    __builtin_memset(s.acc, 0, static_cast<size_t>(queries) * static_cast<size_t>(c.hd) * sizeof(R));
    const int last = (u.position0 + u.rows - 1) / kPage;
    for (int b = first_block(c, u); b <= last; ++b) {
      const KeyRange rows = rows_of_block(c, u, b);
      if (rows.begin >= rows.end) continue;
      const Block block = load_block(c, u, b, s);
      const int64_t i0 = int64_t{rows.begin} * u.heads, i1 = int64_t{rows.end} * u.heads;
      Gemm<V>::gemm({s.scores + i0 * kPage, s.q + i0 * c.hd, block.kt, i1 - i0, kPage, c.hd, kPage, kPage,
                     c.hd, 1, false});
      for (int64_t i = i0; i < i1; ++i)
        softmax_step(c, s, i, visible_keys(u.position0 + static_cast<int>(i) / u.heads, c.window, b));
      accumulate(c, u, b, rows, s.scores, block, s.acc);
    }
    for (int i = 0; i < queries; ++i) {
      const int64_t at = (u.row0 + i / u.heads) * c.heads + u.head0 + i % u.heads;
      R* out = c.out + at * c.hd;
      const R* acc = s.acc + int64_t{i} * c.hd;
      const vec l = V::set1(s.sum[i]);
      for_vectors<V>(0, c.hd, [=](auto load, auto store) { store(out, V::div(load(acc), l)); });
      if (c.lse != nullptr) c.lse[at] = s.top[i] + scalar_log(s.sum[i]);
    }
  }
};
