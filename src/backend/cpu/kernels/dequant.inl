// Weight formats: 32 elements of a row as vectors. The values of quantised formats are exact in f32 (11 bits
// of scale times 4 or 8 of q; formats with a minimum round once), so every path and ISA decodes the same
// numbers. Included inside an anonymous namespace.
#pragma once

#include "backend/cpu/kernels/coded.inl"
#include "backend/cpu/kernels/hub_formats.inl"

template <class V>
struct Decode {
  using R = typename V::Real;
  using vec = typename V::vec;
  static constexpr int kVecs = 32 / V::kLanes;

  // Before block() at every i that is a multiple of 256, and at the first.
  template <Format F>
  [[gnu::always_inline]] static inline void begin(const uint8_t* row, int64_t i, SuperScales& scales) {
    if constexpr (is_super(F)) Coded<V>::template begin<F>(row, i, scales);
  }
  // Elements [i, i + 32) of a row; i is a multiple of 32.
  template <Format F>
  [[gnu::always_inline]] static inline void block(const uint8_t* row, int64_t i, const SuperScales& scales,
                                                  vec (&w)[kVecs]) {
    if constexpr (is_coded(F)) {
      Coded<V>::template block<F>(row, i, scales, w);
    } else if constexpr (F == kQ8_0) {
      const uint8_t* b = row + i / 32 * 34;
      const vec d = V::half(b);
      unroll<kVecs>([&](auto s) __attribute__((always_inline)) {
        w[s.value] = V::mul(d, V::load_i8(b + 2 + s.value * V::kLanes));
      });
    } else if constexpr (F == kQ4_0) {
      const uint8_t* b = row + i / 32 * 18;
      const vec d = V::half(b);
      V::nibbles(b + 2, d, V::mul(V::set1(R{-8}), d), w);
    } else if constexpr (F == kQ4_1) {
      const uint8_t* b = row + i / 32 * 20;
      vec d, m;
      V::halves(b, d, m);
      V::nibbles(b + 4, d, m, w);
    } else if constexpr (HubFormats<V>::is(F)) {
      HubFormats<V>::template block<F>(row, i, w);
    } else {
      unroll<kVecs>([&](auto s) __attribute__((always_inline)) {
        w[s.value] = vector<F>(row, i + s.value * V::kLanes);
      });
    }
  }
  // kLanes elements of a float format.
  template <Format F>
  [[gnu::always_inline]] static inline vec vector(const uint8_t* row, int64_t i) {
    if constexpr (F == kF16) return V::load_f16(row + 2 * i);
    if constexpr (F == kBf16) return V::load_bf16(row + 2 * i);
    if constexpr (F == kF32 || F == kF64) {
      using T = Pick<F == kF32, float, double>;
      if constexpr (sizeof(T) == sizeof(R)) return V::load(reinterpret_cast<const R*>(row) + i);
      R values[V::kLanes];
      for (int j = 0; j < V::kLanes; ++j)
        values[j] = static_cast<R>(scalar_load<T>(row + (i + j) * static_cast<int64_t>(sizeof(T))));
      return V::load(values);
    }
  }
  // The n < kLanes last elements of a row of a float format, then zeros.
  template <Format F>
  static inline vec tail(const uint8_t* row, int64_t i, int64_t n) {
    constexpr int64_t bytes = F == kF64 ? 8 : F == kF32 ? 4 : 2;
    uint8_t copy[V::kLanes * 8] = {};
    __builtin_memcpy(copy, row + i * bytes, static_cast<size_t>(n * bytes));
    return vector<F>(copy, 0);
  }

  template <Format F>
  static void row(R* out, const uint8_t* in, int64_t first, int64_t n) {
    int64_t i = 0;
    SuperScales scales;
    if (is_super(F) && first % 256 != 0) begin<F>(in, first, scales);
    for (; i + 32 <= n; i += 32) {
      vec w[kVecs];
      if (is_super(F) && (first + i) % 256 == 0) begin<F>(in, first + i, scales);
      block<F>(in, first + i, scales, w);
      unroll<kVecs>([&](auto s) __attribute__((always_inline)) {
        V::store(out + i + s.value * V::kLanes, w[s.value]);
      });
    }
    if constexpr (F <= kBf16) {
      for (; i + V::kLanes <= n; i += V::kLanes) V::store(out + i, vector<F>(in, first + i));
      if (i < n) V::store_n(out + i, tail<F>(in, first + i, n - i), n - i);
    }
  }
  static void any_row(R* out, const uint8_t* in, Format format, int64_t first, int64_t n) {
    if (has(format))
      with_format(format, [=](auto f) { row<static_cast<Format>(f.value)>(out, in, first, n); });
    else
      coded_row(out, in, format, first, n);
  }

  // Whether the format is decoded by vectors here (with_format); the others are by decode_groups.
  static constexpr bool has(Format format) {
    return format <= kQ4_1 || (V::kHasBytes && (is_coded(format) || HubFormats<V>::is(format)));
  }

  template <class Fn>
  [[gnu::always_inline]] static inline void with_format(Format format, Fn fn) {
    if constexpr (V::kHasBytes) {
      switch (format) {
        case kQ5_0:
          return fn(Int<kQ5_0>{});
        case kQ5_1:
          return fn(Int<kQ5_1>{});
        case kQ2K:
          return fn(Int<kQ2K>{});
        case kQ3K:
          return fn(Int<kQ3K>{});
        case kQ4K:
          return fn(Int<kQ4K>{});
        case kQ5K:
          return fn(Int<kQ5K>{});
        case kQ6K:
          return fn(Int<kQ6K>{});
        case kIq4Nl:
          return fn(Int<kIq4Nl>{});
        case kIq4Xs:
          return fn(Int<kIq4Xs>{});
        case kMxfp4:
          return fn(Int<kMxfp4>{});
        case kInt4_32:
          return fn(Int<kInt4_32>{});
        case kInt4_64:
          return fn(Int<kInt4_64>{});
        case kInt4_128:
          return fn(Int<kInt4_128>{});
        case kInt8_128:
          return fn(Int<kInt8_128>{});
        case kE4m3_128:
          return fn(Int<kE4m3_128>{});
        case kNf4_64:
          return fn(Int<kNf4_64>{});
        case kScb8_128:
          return fn(Int<kScb8_128>{});
        default:
          break;
      }
    }
    switch (format) {
      case kF32:
        return fn(Int<kF32>{});
      case kF64:
        return fn(Int<kF64>{});
      case kF16:
        return fn(Int<kF16>{});
      case kBf16:
        return fn(Int<kBf16>{});
      case kQ8_0:
        return fn(Int<kQ8_0>{});
      case kQ4_0:
        return fn(Int<kQ4_0>{});
      default:
        return fn(Int<kQ4_1>{});
    }
  }

 private:
  static void coded_row(float* out, const uint8_t* in, Format format, int64_t first, int64_t n) {
    decode_groups(out, in, format, first, n);
  }
  static void coded_row(double* out, const uint8_t* in, Format format, int64_t first, int64_t n) {
    float values[32];
    for (int64_t i = 0; i < n; i += 32) {
      decode_groups(values, in, format, first + i, 32);
      for (int j = 0; j < 32; ++j) out[i + j] = static_cast<double>(values[j]);
    }
  }

  template <bool kFirst, class A, class B>
  struct PickOf {
    using type = A;
  };
  template <class A, class B>
  struct PickOf<false, A, B> {
    using type = B;
  };
  template <bool kFirst, class A, class B>
  using Pick = typename PickOf<kFirst, A, B>::type;
};
