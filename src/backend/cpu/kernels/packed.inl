// Products over operands packed in panels: A in panels of kRows rows, B of kVecs vectors of columns, both
// with K running slowest, so that a register tile reads two streams. Each element of C is one chain of fma
// over k in order, as in gemm.inl: packing, blocks and tiles do not show in the bits. An Op says what a
// packed unit holds: a number, a number rounded to bf16, or a pair for a dot instruction
// (isa/avx512_bf16.cc). Included inside an anonymous namespace. Test: tests/backend/packed_test.cc
#pragma once

#include "backend/cpu/kernels/math.inl"

// The numbers as they are.
template <class V>
struct ExactOp {
  using Vocabulary = V;
  using vec = typename V::vec;
  static constexpr int kDepth = 1;
  [[gnu::always_inline]] static inline vec unit(vec x, vec) { return x; }
  [[gnu::always_inline]] static inline vec multiply_add(vec a, vec b, vec c) { return V::fma(a, b, c); }
};

// Numbers rounded to bf16; their products are exact in f32.
template <class V>
struct RoundedOp : ExactOp<V> {
  using vec = typename V::vec;
  [[gnu::always_inline]] static inline vec unit(vec x, vec) { return V::round_bf16(x); }
};

template <class Op>
struct Packed {
  using V = typename Op::Vocabulary;
  using R = typename V::Real;
  using vec = typename V::vec;
  static constexpr int kRows = V::kPackRows;
  static constexpr int kVecs = V::kPackVecs;
  static constexpr int kColumns = kVecs * V::kLanes;
  static constexpr int kLanes = V::kLanes;
  static constexpr int kRowsAhead = 8;  // of an operand that is packed: its rows are far apart
  static constexpr int kUnroll = 4;
  static constexpr int kUnitsAhead = 64;  // of B on its way to the second-level cache

  // Panels narrower than a vector are filled several at a time.
  template <int kPanel>
  struct Group {
    static_assert(kPanel % kLanes == 0 || kPanel < kLanes);
    static constexpr int kPanels = kPanel < kLanes ? kLanes / kPanel : 1;
    static constexpr int kWidth = kPanels * kPanel;                  // rows or columns of the group
    static constexpr int kUsed = kPanel < kLanes ? kWidth : kLanes;  // lanes of a vector

    // Lanes [v, v + kUsed) of one unit of `panels` panels that lie `size` apart.
    [[gnu::always_inline]] static inline void put(R* unit, int v, vec x, int64_t size, int64_t panels) {
      if constexpr (kPanel >= kLanes) {
        V::store(unit + v, x);
      } else {
        unroll<kPanels>([&](auto p) __attribute__((always_inline)) {
          if (p.value < panels) V::template store_lanes<p.value * kPanel, kPanel>(unit + p.value * size, x);
        });
      }
    }
    static int64_t panels(int64_t n) { return n < kWidth ? (n + kPanel - 1) / kPanel : kPanels; }
  };

  // Elements lie side by side along the panels. A few units of all panels, then the next few: memory is read
  // in order, and a line is written whole while it is near (panels lie a multiple of 4 KB apart, in one cache
  // set).
  template <int kPanel>
  static void pack_across(const PackCall<R>& c) {
    using G = Group<kPanel>;
    const int64_t units = (c.k + Op::kDepth - 1) / Op::kDepth;
    for (int64_t first = 0; first < units; first += kRowsAhead) {
      const int64_t end = units - first < kRowsAhead ? units : first + kRowsAhead;
      for (int64_t n = 0; n < c.n; n += G::kWidth)
        for (int64_t i = first; i < end; ++i) unit_across<kPanel>(c, n, i, units * kPanel);
    }
  }

  // Unit i of the group of panels at n.
  template <int kPanel>
  [[gnu::always_inline]] static inline void unit_across(const PackCall<R>& c, int64_t n, int64_t i,
                                                        int64_t size) {
    using G = Group<kPanel>;
    const R* src = c.src + i * Op::kDepth * c.k_stride + n;
    R* dst = c.dst + n / kPanel * size + i * kPanel;
    const bool pair = Op::kDepth == 2 && i * Op::kDepth + 1 < c.k;
    for (int v = 0; v < G::kWidth; v += kLanes) {
      const int64_t valid = c.n - n - v;
      __builtin_prefetch(src + kRowsAhead * Op::kDepth * c.k_stride + v);
      vec first = V::set1(R{0}), second = first;
      if (valid >= kLanes) {
        first = V::load(src + v);
        if (pair) second = V::load(src + c.k_stride + v);
      } else if (valid > 0) {
        first = V::load_n(src + v, valid);
        if (pair) second = V::load_n(src + c.k_stride + v, valid);
      }
      G::put(dst, v, Op::unit(first, second), size, G::panels(c.n - n));
    }
  }

  // Elements lie side by side along k: turned block by block.
  template <int kPanel>
  static void pack_along(const PackCall<R>& c) {
    using G = Group<kPanel>;
    const int64_t size = (c.k + Op::kDepth - 1) / Op::kDepth * kPanel;
    R* dst = c.dst;
    for (int64_t n = 0; n < c.n; n += G::kWidth, dst += G::kPanels * size)
      for (int64_t i = 0; i < c.k; i += kLanes)
        for (int v = 0; v < G::kWidth; v += kLanes) {
          const R* p = c.src + (n + v) * c.n_stride + i;
          vec block[kLanes];
          const int64_t rows = c.n - n - v, deep = c.k - i;
          if (rows >= G::kUsed && deep >= kLanes) {
            for (int r = 0; r < G::kUsed; ++r) __builtin_prefetch(p + (G::kWidth + r) * c.n_stride);
            V::template transpose<G::kUsed>(p, c.n_stride, block);
          } else {
            R edge[kLanes * kLanes] = {};
            const auto bytes = static_cast<size_t>(deep < kLanes ? deep : kLanes) * sizeof(R);
            for (int r = 0; r < G::kUsed && r < rows; ++r)
              __builtin_memcpy(edge + r * kLanes, p + r * c.n_stride, bytes);
            V::template transpose<kLanes>(edge, kLanes, block);
          }
          R* to = dst + i / Op::kDepth * kPanel;
          const int64_t panels = G::panels(c.n - n);
          unroll<kLanes / Op::kDepth>([&](auto u) __attribute__((always_inline)) {
            constexpr int at = u.value * Op::kDepth;
            if (at < deep)
              G::put(to + u.value * kPanel, v, Op::unit(block[at], block[at + Op::kDepth - 1]), size, panels);
          });
        }
  }

  template <int kPanel>
  static void pack(const PackCall<R>& c) {
    if (c.n_stride == 1)
      pack_across<kPanel>(c);
    else
      pack_along<kPanel>(c);
  }

  // kM rows × kVecs vectors of C; kTail: only `columns` of them exist.
  // kFirst: B is met for the first time and comes from further away.
  template <int kM, bool kTail, bool kFirst>
  static void tile(const MultiplyCall<R>& g, const R* a, const R* b, R* c, const R* bias, int64_t columns) {
    vec acc[kM][kVecs];
    const auto valid = [&](int v) {
      const int64_t n = columns - v * kLanes;
      return n < 0 ? 0 : n < kLanes ? n : kLanes;
    };
    const auto load = [&](const R* p, int v) __attribute__((always_inline)) {
      if constexpr (kTail)
        return valid(v) > 0 ? V::load_n(p + v * kLanes, valid(v)) : V::set1(R{0});
      else
        return V::load(p + v * kLanes);
    };
    unroll<kM>([&](auto m) __attribute__((always_inline)) {
      unroll<kVecs>([&](auto v) __attribute__((always_inline)) {
        R* p = c + m.value * g.ldc;
        __builtin_prefetch(p + kColumns + v.value * kLanes, 1);  // of the next tile
        acc[m.value][v.value] = g.add ? load(p, v.value) : V::set1(R{0});
      });
    });
    const auto step = [&](const R* x, const R* y) __attribute__((always_inline)) {
      vec w[kVecs];
      unroll<kVecs>([&](auto v) __attribute__((always_inline)) {
        if (kFirst) __builtin_prefetch(y + kUnitsAhead * kColumns + v.value * kLanes, 0, 2);
        w[v.value] = V::load(y + v.value * kLanes);
      });
      unroll<kM>([&](auto m) __attribute__((always_inline)) {
        const vec f = V::set1(x[m.value]);
        unroll<kVecs>([&](auto v) __attribute__((always_inline)) {
          acc[m.value][v.value] = Op::multiply_add(f, w[v.value], acc[m.value][v.value]);
        });
      });
    };
    int64_t k = 0;
    for (; k + kUnroll <= g.units; k += kUnroll, a += kUnroll * kRows, b += kUnroll * kColumns)
      unroll<kUnroll>([&](auto u) __attribute__((always_inline)) {
        step(a + u.value * kRows, b + u.value * kColumns);
      });
    for (; k < g.units; ++k, a += kRows, b += kColumns) step(a, b);
    if (bias != nullptr)
      unroll<kVecs>([&](auto v) __attribute__((always_inline)) {
        const vec f = load(bias, v.value);
        unroll<kM>([&](auto m) __attribute__((always_inline)) {
          acc[m.value][v.value] = V::add(acc[m.value][v.value], f);
        });
      });
    unroll<kM>([&](auto m) __attribute__((always_inline)) {
      unroll<kVecs>([&](auto v) __attribute__((always_inline)) {
        R* p = c + m.value * g.ldc + v.value * kLanes;
        if constexpr (!kTail)
          V::store(p, acc[m.value][v.value]);
        else if (valid(v.value) > 0)
          V::store_n(p, acc[m.value][v.value], valid(v.value));
      });
    });
  }

  template <int kM, bool kFirst>
  static void row_of_tiles(const MultiplyCall<R>& g, const R* a, R* c) {
    const R *b = g.b, *bias = g.bias;
    int64_t j = 0;
    for (; j + kColumns <= g.n; j += kColumns, b += g.units * kColumns) {
      tile<kM, false, kFirst>(g, a, b, c + j, bias, kColumns);
      if (bias != nullptr) bias += kColumns;
    }
    if (j < g.n) tile<kM, true, kFirst>(g, a, b, c + j, bias, g.n - j);
  }

  static void multiply(const MultiplyCall<R>& g) {
    const R* a = g.a;
    R* c = g.c;
    int64_t left = g.m;
    if (left >= kRows) {
      row_of_tiles<kRows, true>(g, a, c);
      left -= kRows;
      a += g.units * kRows;
      c += kRows * g.ldc;
    }
    for (; left >= kRows; left -= kRows, a += g.units * kRows, c += kRows * g.ldc)
      row_of_tiles<kRows, false>(g, a, c);
    unroll<kRows - 1>([&](auto m) __attribute__((always_inline)) {
      if (left == m.value + 1) row_of_tiles<m.value + 1, false>(g, a, c);
    });
  }

  static ProductKernels<R> kernels() {
    return {kRows, kColumns, Op::kDepth, pack<kRows>, pack<kColumns>, multiply};
  }
};
