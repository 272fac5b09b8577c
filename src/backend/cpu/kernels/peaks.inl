// Peak loops over the vocabulary: reading, and independent chains of fma. Included inside an anonymous
// namespace.
#pragma once

#include "backend/cpu/kernels/math.inl"

template <class V>
struct Peaks {
  using R = typename V::Real;
  using vec = typename V::vec;
  // Latency 4 or 5 times two units, and registers to spare.
  static constexpr int kChains = 12;

  // Keeps a value in a register and out of the optimiser's sight.
  template <class T>
  [[gnu::always_inline]] static inline void opaque(T& x) {
#if defined(__x86_64__)
    asm volatile("" : "+v"(x));
#else
    asm volatile("" : "+w"(x));
#endif
  }

  static double fma(int64_t rounds) {
    vec acc[kChains];
    unroll<kChains>([&](auto i) __attribute__((always_inline)) { acc[i.value] = V::set1(R(i.value)); });
    vec x = V::set1(R(0.999)), y = V::set1(R(0.5));
    for (int64_t r = 0; r < rounds; ++r)
      unroll<kChains>([&](auto i) __attribute__((always_inline)) {
        acc[i.value] = V::fma(acc[i.value], x, y);
        opaque(acc[i.value]);
      });
    double total = 0;
    unroll<kChains>([&](auto i) __attribute__((always_inline)) {
      total += static_cast<double>(V::reduce_add(acc[i.value]));
    });
    return total;
  }
  static constexpr double kFmaOps = 2.0 * kChains * V::kLanes;

  static uint64_t read(const uint8_t* p, int64_t bytes) {
    constexpr int64_t width = sizeof(vec);
    vec acc[4];
    unroll<4>([&](auto i) __attribute__((always_inline)) { acc[i.value] = V::set1(R{0}); });
    for (const uint8_t* end = p + bytes; p < end; p += 4 * width)
      unroll<4>([&](auto i) __attribute__((always_inline)) {
        acc[i.value] = V::add(acc[i.value], V::load(reinterpret_cast<const R*>(p + i.value * width)));
      });
    return static_cast<uint64_t>(V::reduce_add(V::add(V::add(acc[0], acc[1]), V::add(acc[2], acc[3]))));
  }
};
