// Products with weights. Each output is one vector accumulator, filled along K in order and added up by
// reduce_add_4, whatever the format and whatever the number of rows: so the bits of a row do not depend on
// its company, and prefill and decode agree. Few rows: weights are decoded in registers. Many: a panel of
// weight rows is decoded once and used by all rows. Included inside an anonymous namespace.
#pragma once

#include "backend/cpu/kernels/dequant.inl"

template <class V>
struct Linear {
  using R = typename V::Real;
  using vec = typename V::vec;
  using D = Decode<V>;
  // Decode waits for memory: rows of later tiles are fetched about this many bytes ahead.
  static constexpr int64_t kFetchAhead = 6144;
  // Bytes of 256 elements.
  template <Format F>
  static constexpr int kBytes256 = HubFormats<V>::is(F)
                                       ? HubFormats<V>::bytes(F) * 256 / HubFormats<V>::elements(F)
                                   : F == kQ8_0                             ? 272
                                   : F == kQ4_0 || F == kIq4Nl || F == kQ4K ? 144
                                   : F == kQ4_1                             ? 160
                                   : F == kQ5_0 || F == kQ5K                ? 176
                                   : F == kQ5_1                             ? 192
                                   : F == kQ2K                              ? 84
                                   : F == kQ3K                              ? 110
                                   : F == kQ6K                              ? 210
                                   : F == kIq4Xs || F == kMxfp4             ? 136
                                   : F == kF64                              ? 2048
                                   : F == kF32                              ? 1024
                                                                            : 512;

  // Outputs [t0, t0 + kM) × [n0, n0 + valid) from their accumulators.
  template <int kM>
  [[gnu::always_inline]] static inline void finish(const LinearCall<R>& c, int64_t t0, int64_t n0, int valid,
                                                   const vec (&acc)[kM][4]) {
    unroll<kM>([&](auto t) __attribute__((always_inline)) {
      R sums[4];
      V::reduce_add_4(acc[t.value], sums);
      if (c.bias != nullptr)
        for (int j = 0; j < valid; ++j) sums[j] += c.bias[n0 + j];
      R* out = c.out + (t0 + t.value) * c.ldo + n0;
      if (valid == 4)
        __builtin_memcpy(out, sums, sizeof sums);
      else
        for (int j = 0; j < valid; ++j) out[j] = sums[j];
    });
  }

  // A tile of decoded (real) weights: rows w + j · ldw.
  template <int kM>
  static void real_tile(const LinearCall<R>& c, int64_t t0, int64_t n0, int valid, const R* w, int64_t ldw) {
    const R* rows[4];
    for (int j = 0; j < 4; ++j) rows[j] = w + (j < valid ? j : 0) * ldw;
    const R* x = c.x + t0 * c.ldx;
    vec acc[kM][4];
    unroll<kM>([&](auto t) __attribute__((always_inline)) {
      unroll<4>([&](auto j) __attribute__((always_inline)) { acc[t.value][j.value] = V::set1(R{0}); });
    });
    const auto step = [&](auto load) __attribute__((always_inline)) {
      vec b[4];
      unroll<4>([&](auto j) __attribute__((always_inline)) { b[j.value] = load(rows[j.value]); });
      unroll<kM>([&](auto t) __attribute__((always_inline)) {
        const vec a = load(x + t.value * c.ldx);
        unroll<4>([&](auto j) __attribute__((always_inline)) {
          acc[t.value][j.value] = V::fma(a, b[j.value], acc[t.value][j.value]);
        });
      });
    };
    int64_t k = 0;
    for (; k + V::kLanes <= c.k; k += V::kLanes) step([k](const R* p) { return V::load(p + k); });
    if (k < c.k) step([k, n = c.k - k](const R* p) { return V::load_n(p + k, n); });
    finish<kM>(c, t0, n0, valid, acc);
  }

  // The same tile with weights decoded in registers.
  template <Format F, int kM>
  static void coded_tile(const LinearCall<R>& c, int64_t t0, int64_t n0, int valid) {
    const uint8_t* rows[4];
    for (int j = 0; j < 4; ++j) rows[j] = c.w + (n0 + (j < valid ? j : 0)) * c.w_row;
    const R* x = c.x + t0 * c.ldx;
    vec acc[kM][4];
    unroll<kM>([&](auto t) __attribute__((always_inline)) {
      unroll<4>([&](auto j) __attribute__((always_inline)) { acc[t.value][j.value] = V::set1(R{0}); });
    });
    const int64_t tile = 4 * c.w_row, ahead = tile < kFetchAhead ? kFetchAhead / tile * tile : tile;
    SuperScales scales[4];
    int64_t k = 0;
    for (; k + 32 <= c.k; k += 32) {
      if (is_super(F) && k % 256 == 0)
        for (int j = 0; j < 4; ++j) D::template begin<F>(rows[j], k, scales[j]);
      unroll<4>([&](auto j) __attribute__((always_inline)) {
        vec w[D::kVecs];
        __builtin_prefetch(rows[j.value] + ahead + k * kBytes256<F> / 256);
        D::template block<F>(rows[j.value], k, scales[j.value], w);
        unroll<D::kVecs>([&](auto s) __attribute__((always_inline)) {
          unroll<kM>([&](auto t) __attribute__((always_inline)) {
            acc[t.value][j.value] = V::fma(V::load(x + t.value * c.ldx + k + s.value * V::kLanes), w[s.value],
                                           acc[t.value][j.value]);
          });
        });
      });
    }
    if constexpr (F <= kBf16) {
      for (; k < c.k; k += V::kLanes) {
        const int64_t n = c.k - k < V::kLanes ? c.k - k : V::kLanes;
        unroll<4>([&](auto j) __attribute__((always_inline)) {
          const vec w = D::template tail<F>(rows[j.value], k, n);
          unroll<kM>([&](auto t) __attribute__((always_inline)) {
            acc[t.value][j.value] = V::fma(V::load_n(x + t.value * c.ldx + k, n), w, acc[t.value][j.value]);
          });
        });
      }
    }
    finish<kM>(c, t0, n0, valid, acc);
  }

  // fn(Int<rows>{}) for a number of rows up to kMost.
  template <int kMost, class Fn>
  [[gnu::always_inline]] static inline void with_rows(int64_t rows, Fn fn) {
    unroll<kMost>([&](auto i) __attribute__((always_inline)) {
      if (rows == i.value + 1) fn(Int<i.value + 1>{});
    });
  }

  template <Format F>
  static void few_rows(const LinearCall<R>& c, int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n += 4) {
      const int valid = static_cast<int>(end - n < 4 ? end - n : 4);
      with_rows<V::kFewRows>(c.m, [&](auto rows) { coded_tile<F, rows.value>(c, 0, n, valid); });
    }
  }

  static void panel(const LinearCall<R>& c, int64_t n0, int64_t rows, const R* w, int64_t ldw) {
    for (int64_t t = 0; t < c.m; t += V::kTileM) {
      const int64_t left = c.m - t < V::kTileM ? c.m - t : V::kTileM;
      for (int64_t n = 0; n < rows; n += 4) {
        const int valid = static_cast<int>(rows - n < 4 ? rows - n : 4);
        with_rows<V::kTileM>(left,
                             [&](auto m) { real_tile<m.value>(c, t, n0 + n, valid, w + n * ldw, ldw); });
      }
    }
  }

  static void linear(const LinearCall<R>& c, int64_t begin, int64_t end, R* scratch) {
    if constexpr (V::kFewRows > 0) {
      if (c.m <= V::kFewRows && D::has(c.format)) {
        D::with_format(c.format, [&](auto f) { few_rows<static_cast<Format>(f.value)>(c, begin, end); });
        return;
      }
    }
    const int64_t ldw = (c.k + V::kLanes - 1) / V::kLanes * V::kLanes;
    for (int64_t n = begin; n < end; n += kPanelRows) {
      const int64_t rows = end - n < kPanelRows ? end - n : kPanelRows;
      for (int64_t r = 0; r < rows; ++r)
        D::any_row(scratch + r * ldw, c.w + (n + r) * c.w_row, c.format, 0, c.k);
      panel(c, n, rows, scratch, ldw);
    }
  }
};
