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

  // One vector of a panel: lanes [v, v + kLanes) of kPanel; the last may be shorter.
  template <int kPanel>
  [[gnu::always_inline]] static inline void put(R* unit, int v, vec x) {
    if (v + kLanes <= kPanel)
      V::store(unit + v, x);
    else
      V::store_n(unit + v, x, kPanel - v);
  }

  // A panel whose elements lie side by side along the panel: k rows of `valid` numbers.
  template <int kPanel>
  static void pack_across(R* dst, const R* src, int64_t stride, int64_t k, int64_t valid) {
    for (int64_t i = 0; i < k; i += Op::kDepth, dst += kPanel)
      for (int v = 0; v < kPanel; v += kLanes) {
        const int64_t n = valid - v < kLanes ? (valid > v ? valid - v : 0) : kLanes;
        const R* p = src + i * stride + (n > 0 ? v : 0);
        vec first, second = V::set1(R{0});
        if (n == kLanes) {
          first = V::load(p);
          if (Op::kDepth == 2 && i + 1 < k) second = V::load(p + stride);
        } else {
          first = V::load_n(p, n);
          if (Op::kDepth == 2 && i + 1 < k) second = V::load_n(p + stride, n);
        }
        put<kPanel>(dst, v, Op::unit(first, second));
      }
  }

  // A panel whose elements lie side by side along k: `valid` rows of k numbers, turned block by block.
  template <int kPanel>
  static void pack_along(R* dst, const R* src, int64_t stride, int64_t k, int64_t valid) {
    for (int64_t i = 0; i < k; i += kLanes)
      for (int v = 0; v < kPanel; v += kLanes) {
        constexpr int kLast = kPanel % kLanes == 0 ? kLanes : kPanel % kLanes;
        const int rows = v + kLanes <= kPanel ? kLanes : kLast;
        const R* p = src + v * stride + i;
        vec block[kLanes];
        if (valid - v >= rows && k - i >= kLanes) {
          if (rows == kLanes)
            V::template transpose<kLanes>(p, stride, block);
          else
            V::template transpose<kLast>(p, stride, block);
        } else {
          R edge[kLanes * kLanes] = {};
          const int64_t n = k - i < kLanes ? k - i : kLanes;
          for (int r = 0; r < rows && v + r < valid; ++r)
            __builtin_memcpy(edge + r * kLanes, p + r * stride, static_cast<size_t>(n) * sizeof(R));
          V::template transpose<kLanes>(edge, kLanes, block);
        }
        R* to = dst + i / Op::kDepth * kPanel;
        unroll<kLanes / Op::kDepth>([&](auto u) __attribute__((always_inline)) {
          constexpr int at = u.value * Op::kDepth;
          if (i + at < k)
            put<kPanel>(to + u.value * kPanel, v, Op::unit(block[at], block[at + Op::kDepth - 1]));
        });
      }
  }

  template <int kPanel>
  static void pack(const PackCall<R>& c) {
    const int64_t units = (c.k + Op::kDepth - 1) / Op::kDepth;
    for (int64_t n = 0; n < c.n; n += kPanel) {
      const int64_t valid = c.n - n < kPanel ? c.n - n : kPanel;
      if (c.n_stride == 1)
        pack_across<kPanel>(c.dst + n * units, c.src + n, c.k_stride, c.k, valid);
      else
        pack_along<kPanel>(c.dst + n * units, c.src + n * c.n_stride, c.n_stride, c.k, valid);
    }
  }

  // kM rows × kVecs vectors of C; kTail: only `columns` of them exist.
  template <int kM, bool kTail>
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
        acc[m.value][v.value] = g.add ? load(c + m.value * g.ldc, v.value) : V::set1(R{0});
      });
    });
    for (int64_t k = 0; k < g.units; ++k, a += kRows, b += kColumns) {
      vec w[kVecs];
      unroll<kVecs>([&](auto v)
                        __attribute__((always_inline)) { w[v.value] = V::load(b + v.value * kLanes); });
      unroll<kM>([&](auto m) __attribute__((always_inline)) {
        const vec x = V::set1(a[m.value]);
        unroll<kVecs>([&](auto v) __attribute__((always_inline)) {
          acc[m.value][v.value] = Op::multiply_add(x, w[v.value], acc[m.value][v.value]);
        });
      });
    }
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

  template <int kM>
  static void row_of_tiles(const MultiplyCall<R>& g, const R* a, R* c) {
    const R *b = g.b, *bias = g.bias;
    int64_t j = 0;
    for (; j + kColumns <= g.n; j += kColumns, b += g.units * kColumns) {
      tile<kM, false>(g, a, b, c + j, bias, kColumns);
      if (bias != nullptr) bias += kColumns;
    }
    if (j < g.n) tile<kM, true>(g, a, b, c + j, bias, g.n - j);
  }

  static void multiply(const MultiplyCall<R>& g) {
    const R* a = g.a;
    R* c = g.c;
    int64_t left = g.m;
    for (; left >= kRows; left -= kRows, a += g.units * kRows, c += kRows * g.ldc)
      row_of_tiles<kRows>(g, a, c);
    unroll<kRows - 1>([&](auto m) __attribute__((always_inline)) {
      if (left == m.value + 1) row_of_tiles<m.value + 1>(g, a, c);
    });
  }

  static ProductKernels<R> kernels() {
    return {kRows, kColumns, Op::kDepth, pack<kRows>, pack<kColumns>, multiply};
  }
};
